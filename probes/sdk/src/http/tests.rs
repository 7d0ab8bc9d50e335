use std::format;
use std::string::ToString;
use std::vec;

use super::*;
use crate::testing::{Peer, Sidecar};

const GET: Request<'_> = Request { method: "GET", path: "/", headers: &[], body: b"" };

/// The status and the body, at most 20 bytes of it.
fn exchange(peer: Peer, request: &Request<'_>) -> Result<(u16, String, bool), Failure> {
    Sidecar::new().accepts(80, peer).run(|| {
        let mut response = send("sidecar", 80, request)?;
        let (body, whole) = response.body(20)?;
        Ok((response.status, String::from_utf8_lossy(&body).into_owned(), whole))
    })
}

#[test]
fn a_body_ends_where_its_framing_says_so() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", 200, "ok", true),
        ("HTTP/1.0 503 No\r\n\r\nwait", 503, "wait", true),
        (
            "HTTP/1.1 200\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nA: b\r\n\r\n",
            200,
            "abc",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 204, "", true),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            302,
            "",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\naaaaaaaaaabbbbbbbbbbcc", 200, "aaaaaaaaaabbbbbbbbbb", false),
    ];
    for (answer, status, body, whole) in rows {
        for piece in [1, 3, usize::MAX] {
            let peer = Peer::new().sends(answer).in_pieces(piece);
            assert_eq!(exchange(peer, &GET), Ok((status, body.to_string(), whole)), "{answer} by {piece}");
        }
    }
    let head = Request { method: "HEAD", ..GET };
    let peer = Peer::new().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(exchange(peer, &head), Ok((200, String::new(), true)));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let cut = |text: &str| Err(Failure::Cut(Denial::Other(text.into())));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rows = [
        (Peer::refuses(), Err(Failure::Undialled(Denial::Refused))),
        (Peer::new().stalls(), Err(Failure::Silent)),
        (Peer::new(), Err(Failure::Unanswered)),
        (Peer::new().breaks(Denial::Closed), Err(Failure::Unanswered)),
        (Peer::new().sends("220 mail\r\n").stalls(), Err(Failure::NotHttp(b"220 mail\r\n".to_vec()))),
        (Peer::new().sends([0x15, 3, 1, 0, 2, 2, 80]), Err(Failure::NotHttp(vec![0x15, 3, 1, 0, 2, 2, 80]))),
        (Peer::new().sends("HTTP/1.1 200"), Err(Failure::Cut(Denial::Closed))),
        (Peer::new().sends("HTTP/1.1 200 OK\r\n").stalls(), Err(Failure::Cut(Denial::TimedOut))),
        (
            Peer::new().sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
            Err(Failure::Cut(Denial::Closed)),
        ),
        (Peer::new().sends(format!("{chunked}2\r\nab")), Err(Failure::Cut(Denial::Closed))),
        (Peer::new().sends(format!("{chunked}xyz\r\n")), cut("a chunk does not say how long it is")),
        (
            Peer::new().sends(format!("{chunked}ffffffffffffffffff\r\n")),
            cut("a chunk does not say how long it is"),
        ),
        (Peer::new().sends(format!("{chunked}1\r\nabc\r\n")), cut("a chunk is longer than it says")),
        (
            Peer::new().sends(format!("{chunked}{}", "1".repeat(2_000))),
            cut("a line between chunks is too long"),
        ),
    ];
    for (peer, expected) in rows {
        let told = format!("{peer:?}");
        assert_eq!(exchange(peer, &GET), expected, "{told}");
    }
    let announced = Peer::new().sends("HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000));
    assert_eq!(exchange(announced, &GET), cut("it announces an answer again and again"));
    // As OpenSSL does it: whatever is no greeting of its own is closed.
    let tls = Peer::answers(|said| {
        Some(if said.starts_with(&[0x16, 3]) { vec![0x16, 3, 3, 0, 1] } else { Vec::new() })
    });
    assert_eq!(exchange(tls, &GET), Err(Failure::NotHttp(vec![0x16, 3, 3, 0, 1])));
    let endless = Peer::new().sends(format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(40_000))).stalls();
    assert!(matches!(exchange(endless, &GET), Err(Failure::NotHttp(_))));
}

#[test]
fn a_request_is_sent_as_it_was_given() {
    let sidecar = Sidecar::new().accepts(8080, Peer::new().sends("HTTP/1.1 204 No Content\r\n\r\n"));
    let request =
        Request { method: "POST", path: "/a?b", headers: &[("host", "here"), ("A", "b c")], body: b"{}" };
    sidecar.run(|| {
        let _ = send("sidecar", 8080, &request);
        let _ = send("sidecar", 8080, &GET);
    });
    let sent = sidecar.sent().into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect::<Vec<_>>();
    assert_eq!(
        sent,
        [
            "POST /a?b HTTP/1.1\r\nUser-Agent: farrier-probe\r\nhost: here\r\nA: b c\r\nContent-Length: 2\r\n\
             Connection: close\r\n\r\n{}",
            "GET / HTTP/1.1\r\nHost: sidecar:8080\r\nUser-Agent: farrier-probe\r\nConnection: close\r\n\r\n",
        ]
    );
}

#[test]
fn nothing_is_smuggled_into_a_request() {
    for (name, value) in [("A: b\r\nC", "d"), ("", "d"), ("A", "b\r\nC: d"), ("A", "\0"), ("Connection", "x")]
    {
        assert!(check_header(name, value).is_err(), "{name:?}: {value:?}");
    }
    assert_eq!(check_header("X-Token", "äöü 1"), Ok(()));
    for path in ["", "health", "/a b", "/a\r\nHost: b", "/ä", "/a#b"] {
        assert!(check_path(path).is_err(), "{path:?}");
    }
    assert_eq!(check_path("/a/b?c=d%20e"), Ok(()));
}
