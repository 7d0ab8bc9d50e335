//! Connections: where they may not go, too many of them, and handles that are not the guest's.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use farrier::engine::dialler::Direct;
use farrier::probe::context::{ProbeContext, Targets};
use serde_json::json;
use tokio::net::TcpListener;

use super::attempt::Expected::{Crashed, Denied, Failed, Pending, Told};
use super::attempt::{Attempt, Guest};

/// Servers on this host.
pub struct Server;

impl Server {
    /// Accepts everything, says nothing and reads nothing.
    pub async fn silent() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let mut held = std::collections::VecDeque::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push_back(stream);
                // Of one attempt no more are open at once.
                if held.len() > 600 {
                    held.pop_front();
                }
            }
        });
        address
    }

    /// Sends zeroes without end.
    pub async fn flooding() -> SocketAddr {
        use tokio::io::AsyncWriteExt;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move { while stream.write_all(&vec![0; 64 << 10]).await.is_ok() {} });
            }
        });
        address
    }
}

/// May connect to these.
pub fn granting(places: &[(&str, SocketAddr)]) -> ProbeContext {
    let places = places.iter().map(|(name, place)| (((*name).to_owned(), place.port()), Some(*place)));
    let targets = Targets(places.collect::<BTreeMap<_, _>>());
    ProbeContext { targets, dialler: Some(Arc::new(Direct)), ..ProbeContext::default() }
}

/// The granted address in every way to write it, and others.
const PLACES: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "127.0.0.2",
    "localhost",
    "localhost.",
    "0.0.0.0",
    "0",
    "::",
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "fe80::1%lo",
    "fe80::1",
    "169.254.169.254",
    "metadata.google.internal",
    "host.docker.internal",
    "gateway.docker.internal",
    "172.17.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "db.",
    "DB",
    "db ",
    " db",
    "db\0",
    "db:80",
    "db/",
    "db@localhost",
    "user@db",
    "..",
    "",
    "*",
    "\u{ff44}b",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "127.0.0.1.nip.io",
];

pub async fn attempts() -> Vec<Attempt> {
    let (silent, flooding) = (Server::silent().await, Server::flooding().await);
    let held = Guest::hostile(granting(&[("db", silent)]), Some(silent.port()));
    let flooded = Guest::hostile(granting(&[("db", flooding)]), Some(flooding.port()));
    let mut attempts = vec![
        held.tries(
            "reads a dropped connection",
            &json!({"try": "use-after-drop"}),
            Crashed("unknown handle"),
        ),
        held.tries("drops a connection twice", &json!({"try": "double-drop"}), Crashed("unknown handle")),
        held.tries(
            "a handle of zero",
            &json!({"try": "forged-handle", "with": 0}),
            Crashed("unknown handle"),
        ),
        held.tries(
            "a handle it never had",
            &json!({"try": "forged-handle", "with": 7}),
            Crashed("unknown handle"),
        ),
        held.tries(
            "the largest handle",
            &json!({"try": "forged-handle", "with": u32::MAX}),
            Crashed("unknown handle"),
        ),
        held.tries(
            "leaks thousands of connections",
            &json!({"try": "leak", "with": 5000}),
            Pending("too many connections"),
        ),
        held.tries("leaks some and ends", &json!({"try": "leak", "with": 200}), Pending("leaked 200")),
        held.tries("opens and closes", &json!({"try": "open-and-close", "with": 500}), Pending("opened 500")),
        held.tries("waits for a silent server", &json!({"try": "read-for-ever"}), Told),
        held.tries("sends to a server that does not read", &json!({"try": "write-for-ever"}), Told),
        held.tries(
            "sends 8 MiB at once",
            &json!({"try": "write-at-once", "with": 8 << 20}),
            Crashed("too much data"),
        ),
        flooded.tries("asks for 4 GiB", &json!({"try": "read-all"}), Pending("read 65536")),
        held.tries(
            "another port of its own",
            &json!({"try": "dial", "with": ["db", 1]}),
            Failed("not granted"),
        ),
        held.tries("port zero", &json!({"try": "dial", "with": ["db", 0]}), Failed("not granted")),
        held.tries(
            "a name of 500 KB",
            &json!({"try": "dial", "with": ["x".repeat(500_000), 80]}),
            Failed("not granted"),
        ),
    ];
    for place in PLACES {
        let what = json!({"try": "dial", "with": [place, silent.port()]});
        attempts.push(held.tries(format!("dials {place:?}"), &what, Failed("not granted")));
    }
    // Address literals need no resolver: they resolve to themselves, and connecting is what is refused.
    let language = Guest::standard(granting(&[("db", silent)]));
    for place in PLACES.iter().filter(|place| place.parse::<IpAddr>().is_err()) {
        let what = json!({"try": "resolve", "with": place});
        attempts.push(language.tries(format!("resolves {place:?}"), &what, Denied));
    }
    attempts
}
