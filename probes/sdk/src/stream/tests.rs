//! What the end of a conversation means, and how much is read.

use std::format;
use std::string::String;

use super::*;
use crate::testing::{MemoryStream, Peer, Sidecar};

const SERVER: Server<'_> = Server { probe: "greeting", protocol: "Greeting", name: "the greeter" };

fn context() -> Context {
    Context {
        sidecar: "db".into(),
        host: "sidecar".into(),
        port: None,
        attempt: 1,
        elapsed_ms: 0,
        remaining_ms: 0,
        settings: "{}".into(),
    }
}

#[test]
fn each_failure_has_its_verdict() {
    let rows = [
        (
            Failure::Foreign(b"SSH-2.0\r".to_vec()),
            Verdict::failed("the port does not speak the protocol of Greeting; it said: SSH-2.0 "),
        ),
        (Failure::Foreign(std::vec![0x16, 3, 1]), Verdict::failed(tls::SPEAKS_TLS)),
        (
            Denial::TimedOut.into(),
            Verdict::pending("the port accepts connections, but the greeter does not answer yet"),
        ),
        (
            Denial::Closed.into(),
            Verdict::pending("the port accepts connections, but closes them without an answer"),
        ),
        (Denial::Other("no route".into()).into(), Verdict::pending("the connection failed: no route")),
    ];
    for (failure, expected) in rows {
        assert_eq!(failure.verdict(SERVER), expected, "{failure:?}");
    }
}

#[test]
fn a_port_that_closes_plain_text_is_asked_in_tls() {
    let closed = Failure::from(Denial::Closed);
    let rows = [
        (Peer::new().sends(b"\x16\x03\x03\0\x7a\x02"), Verdict::failed(tls::SPEAKS_TLS)),
        (Peer::new(), closed.verdict(SERVER)),
    ];
    for (peer, expected) in rows {
        let told = format!("{peer:?}");
        let sidecar = Sidecar::new().accepts(7000, peer);
        let verdict = sidecar.run(|| closed.verdict_in_plain_text(SERVER, &context(), 7000));
        assert_eq!(verdict, expected, "{told}");
    }
}

#[test]
fn a_port_is_the_settings_or_the_interfaces() {
    let declared = Context { port: Some(7000), ..context() };
    assert_eq!(port("greeting", None, &declared), Ok(7000));
    assert_eq!(port("greeting", Some(7001), &declared), Ok(7001));
    let Err(Verdict::Failed(reason)) = port("greeting", None, &context()) else { panic!("there is no port") };
    assert!(
        reason.starts_with("the greeting probe needs a port, and the interface declares none"),
        "{reason}"
    );
    assert!(!reason.contains('…'), "{reason}");
}

#[test]
fn only_a_missing_grant_ends_the_wait() {
    let dialled = |sidecar: Sidecar| sidecar.run(|| connect(&context(), 7000).map(drop));
    assert_eq!(dialled(Sidecar::new().accepts(7000, Peer::new())), Ok(()));
    let refused = Err(Verdict::pending("connection refused"));
    assert_eq!(dialled(Sidecar::new().accepts(7000, Peer::refuses())), refused);
    let Err(Verdict::Failed(reason)) = dialled(Sidecar::new()) else { panic!("it is not granted") };
    assert!(reason.starts_with("the dial was not granted: "), "{reason}");
}

#[test]
fn as_much_is_taken_as_there_is() {
    assert_eq!(take(&mut MemoryStream::new("abcdefgh"), 7), Ok(b"abcdefg".to_vec()));
    assert_eq!(take(&mut MemoryStream::new("abc"), 7), Ok(b"abc".to_vec()));
    assert_eq!(take(&mut MemoryStream::new(""), 7), Err(Denial::Closed));
    assert_eq!(take(&mut MemoryStream::ending("", Denial::TimedOut), 7), Err(Denial::TimedOut));
}

#[test]
fn a_foreign_server_is_quoted_up_to_a_line() {
    let quoted = |says: &str| {
        let mut said = b"SS".to_vec();
        quote(&mut MemoryStream::new(says), &mut said);
        String::from_utf8(said).unwrap()
    };
    assert_eq!(quoted("H-2.0\r\nmore"), "SSH-2.0\r");
    assert_eq!(quoted(""), "SS");
    assert_eq!(quoted(&"a".repeat(1_000)).len(), QUOTED);
}

#[test]
fn a_conversation_is_held_in_plain_text_or_inside_tls() {
    let greeted = |connection: &mut Connection| match take(connection, 5)?.as_slice() {
        b"hello" => Ok(Verdict::Ready),
        said => Err(Failure::Foreign(said.to_vec())),
    };
    let held = |peer: Peer, name: Option<&str>| {
        let sidecar = Sidecar::new().accepts(7000, peer).tls();
        sidecar.run(|| SERVER.hold(&context(), Some(7000), name, greeted))
    };
    assert_eq!(held(Peer::new().sends("hello"), None), Verdict::Ready);
    assert_eq!(held(Peer::new().shakes_hands().sends("hello"), Some("db.test")), Verdict::Ready);
    assert_eq!(held(Peer::new().sends(b"\x16\x03\x03\0\x7a\x02"), None), Verdict::failed(tls::SPEAKS_TLS));
    let failure = tls::Failure::NotTls("the port does not speak TLS".into());
    assert_eq!(
        held(Peer::new().fails_tls(failure), Some("db.test")),
        Verdict::failed("the port does not speak TLS")
    );
    let closed = Failure::from(Denial::Closed).verdict(SERVER);
    assert_eq!(held(Peer::new().shakes_hands(), Some("db.test")), closed);
    assert_eq!(held(Peer::refuses(), None), Verdict::pending("connection refused"));
}
