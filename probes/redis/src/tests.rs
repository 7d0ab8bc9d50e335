//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream as Server, Peer, Sidecar};

use super::*;

fn asked(server: &mut Server, settings: &Settings) -> Verdict {
    converse(server, settings).unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn login(username: Option<&str>, password: Option<&str>) -> Settings {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Settings { port: None, username: owned(username), password: owned(password), ..Settings::default() }
}

const PING: &str = "*1\r\n$4\r\nPING\r\n";
const INFO: &str = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
const LOADING: &str = "LOADING Redis is loading the dataset in memory";
const PROTECTED: &str = "DENIED Redis is running in protected mode because protected mode is enabled";

#[test]
fn each_reply_to_ping_has_its_verdict() {
    let rows: &[(&str, Verdict)] = &[
        ("+PONG\r\n-NOPERM this user has no permissions to run the 'info' command\r\n", Verdict::Ready),
        ("+PONG\r\n-ERR unknown command `INFO`\r\n", Verdict::Ready),
        ("-LOADING Redis is loading the dataset in memory\r\n", Verdict::pending(LOADING)),
        (
            "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
            Verdict::pending(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ),
        ),
        ("-ERR max number of clients reached\r\n", Verdict::pending("ERR max number of clients reached")),
        (
            "-NOAUTH Authentication required.\r\n",
            Verdict::failed("Redis needs a password: add `settings.password`"),
        ),
        (
            "-DENIED Redis is running in protected mode because protected mode is enabled\r\n",
            Verdict::pending(PROTECTED),
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            Verdict::failed(
                "the port does not speak the protocol of Redis; it said: HTTP/1.1 400 Bad Request",
            ),
        ),
        ("SSH-2.0-x", Verdict::failed("the port does not speak the protocol of Redis; it said: SSH-2.0-x")),
        ("", Verdict::pending("the port accepts connections, but closes them without an answer")),
    ];
    for (says, expected) in rows {
        let mut server = Server::new(*says);
        assert_eq!(asked(&mut server, &Settings::default()), *expected, "{says}");
        assert!(server.told.starts_with(PING.as_bytes()), "{says}");
    }
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let rows = [
        (Denial::TimedOut, "the port accepts connections, but Redis does not answer yet"),
        (Denial::Closed, "the port accepts connections, but closes them without an answer"),
        (Denial::Other("no route".into()), "the connection failed: no route"),
    ];
    for (denial, expected) in rows {
        let mut server = Server::ending("", denial);
        assert_eq!(asked(&mut server, &Settings::default()), Verdict::pending(expected));
    }
}

#[test]
fn an_endless_reply_is_cut() {
    let mut server = Server::new(vec![b'-'; 1 << 20]);
    assert!(matches!(asked(&mut server, &Settings::default()), Verdict::Pending(_)));
    assert!(server.says.len() > 1 << 19);
    let mut server = Server::new([b"+PONG\r\n$99999999999\r\n".as_slice(), &vec![b'x'; 1 << 20]].concat());
    assert_eq!(asked(&mut server, &Settings::default()), Verdict::Ready);
    assert!(server.says.len() > 1 << 19);
}

#[test]
fn a_replica_is_ready_when_it_has_synchronised() {
    let behind = "the replica has not synchronised with its master yet: ";
    let rows = [
        ("role:master\r\nconnected_slaves:1\r\n", Verdict::Ready),
        ("role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\n", Verdict::Ready),
        (
            "role:slave\r\nmaster_link_status:down\r\nmaster_sync_in_progress:0\r\n",
            Verdict::pending(format!("{behind}master_link_status is down")),
        ),
        (
            "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:1\r\n",
            Verdict::pending(format!("{behind}a synchronisation is in progress")),
        ),
        ("", Verdict::Ready),
    ];
    for (info, expected) in rows {
        let text = format!("# Replication\r\n{info}");
        let mut server = Server::new(format!("+PONG\r\n${}\r\n{text}\r\n", text.len()));
        assert_eq!(asked(&mut server, &Settings::default()), expected, "{info}");
        assert_eq!(String::from_utf8_lossy(&server.told), format!("{PING}{INFO}"));
    }
    let mut cut = Server::new("+PONG\r\n$500\r\n# Replication\r\nrole:slave\r\n");
    assert!(matches!(asked(&mut cut, &Settings::default()), Verdict::Pending(_)));
}

#[test]
fn a_port_that_wants_tls_is_told_so() {
    // As OpenSSL does it: whatever is no greeting of its own is closed.
    let tls = Peer::answers(|said| {
        Some(if said.starts_with(&[0x16, 3]) { vec![0x16, 3, 3, 0, 1] } else { Vec::new() })
    });
    let alerts = Peer::new().sends([0x15, 3, 1, 0, 2, 2, 80]);
    for peer in [tls, alerts] {
        let sidecar = Sidecar::new().port(6379).accepts(6379, peer);
        assert_eq!(sidecar.check::<Redis>(), Verdict::failed(tls::SPEAKS_TLS));
    }
    let closes = Sidecar::new().port(6379).accepts(6379, Peer::new());
    let closed = Verdict::pending("the port accepts connections, but closes them without an answer");
    assert_eq!(closes.check::<Redis>(), closed);
}

#[test]
fn the_settings_may_name_another_port() {
    let pong = Peer::new().expects(PING).sends("+PONG\r\n").expects(INFO).sends("-ERR no\r\n");
    let sidecar = Sidecar::new().port(6379).settings(r#"{"port": 9000}"#).accepts(9000, pong);
    assert_eq!(sidecar.check::<Redis>(), Verdict::Ready);
}

#[test]
fn a_password_is_sent_first() {
    let told = format!("*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ns\u{e9}cre\r\n{PING}{INFO}");
    let mut server = Server::new("+OK\r\n+PONG\r\n-ERR no\r\n");
    let settings = login(Some("app"), Some("s\u{e9}cre"));
    assert_eq!(asked(&mut server, &settings), Verdict::Ready);
    assert_eq!(String::from_utf8_lossy(&server.told), told);
}

#[test]
fn each_reply_to_auth_has_its_verdict() {
    let refused = |text: &str| Verdict::pending(format!("the server refuses the login: {text}"));
    let rows = [
        (
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            refused("WRONGPASS invalid username-password pair or user is disabled."),
        ),
        ("-ERR invalid password\r\n", refused("ERR invalid password")),
        (
            "-ERR Client sent AUTH, but no password is set\r\n",
            refused("ERR Client sent AUTH, but no password is set"),
        ),
        ("-LOADING Redis is loading the dataset in memory\r\n", Verdict::pending(LOADING)),
    ];
    for (says, expected) in rows {
        let settings = login(None, Some("x"));
        assert_eq!(asked(&mut Server::new(says), &settings), expected);
    }
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let rows = [
        (login(Some("app"), None), vec!["username"]),
        (login(Some(""), Some("")), vec!["username", "password"]),
        (login(None, Some("x")), vec![]),
        (Settings { port: Some(0), ..Settings::default() }, vec!["port"]),
        (Settings::default(), vec![]),
    ];
    for (settings, expected) in rows {
        let problems = Redis::validate(&settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings:?}");
    }
}

#[test]
fn rediss_asks_inside_tls() {
    let inside = || {
        let info = "role:master\r\n";
        let info = format!("${}\r\n{info}\r\n", info.len());
        Peer::new()
            .shakes_hands()
            .expects("*1\r\n$4\r\nPING\r\n")
            .sends("+PONG\r\n")
            .expects("*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n")
            .sends(info)
    };
    let sidecar =
        |settings: &str, peer: Peer| Sidecar::new().port(6380).settings(settings).accepts(6380, peer).tls();
    for (settings, name) in [
        (r#"{"tls": true}"#, "sidecar"),
        (r#"{"tls": "insecure"}"#, "sidecar"),
        (r#"{"tls": true, "server_name": "cache.test"}"#, "cache.test"),
    ] {
        let asked = sidecar(settings, inside());
        assert_eq!(asked.check::<Redis>(), Verdict::Ready, "{settings}");
        assert_eq!(asked.handshakes()[0].0, name);
    }
    let refused = tls::Failure::NotTls("the port does not speak TLS".into());
    let plain = sidecar(r#"{"tls": true}"#, Peer::new().fails_tls(refused));
    assert_eq!(plain.check::<Redis>(), Verdict::failed("the port does not speak TLS"));
    for (settings, fields) in [
        (r#"{"tls": "yes"}"#, vec!["tls"]),
        (r#"{"tls": 1}"#, vec!["tls"]),
        (r#"{"server_name": "a"}"#, vec!["server_name"]),
        (r#"{"tls": true, "server_name": ""}"#, vec!["server_name"]),
        (r#"{"tls": false}"#, vec![]),
    ] {
        let problems = Sidecar::new().settings(settings).validate::<Redis>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, fields, "{settings}");
    }
}
