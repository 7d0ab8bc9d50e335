//! Conversations with brokers in memory, as captured from RabbitMQ 3.10 and as malformed.

use farrier_probe::Denial;
use farrier_probe::stream::Failure;
use farrier_probe::testing::{MemoryStream, Peer, Sidecar};

use super::*;
use crate::frame::{long_text, short_text};

fn asked(server: &mut MemoryStream, settings: &Settings) -> Verdict {
    connection::hold(server, settings).unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, 0], length.as_slice(), payload, &[0xce]].concat()
}

fn method(number: u16, arguments: &[u8]) -> Vec<u8> {
    framed(1, &[&[0, 10], number.to_be_bytes().as_slice(), arguments].concat())
}

fn start(mechanisms: &str) -> Vec<u8> {
    let properties = [short_text(b"product"), b"S".to_vec(), long_text(b"RabbitMQ")].concat();
    let arguments =
        [&[0, 9][..], &long_text(&properties), &long_text(mechanisms.as_bytes()), &long_text(b"en_US")];
    method(10, &arguments.concat())
}

fn tune() -> Vec<u8> {
    method(30, b"\x07\xff\0\x02\0\0\0\x3c")
}

fn open_ok() -> Vec<u8> {
    method(41, &[0])
}

fn close(code: u16, text: &str) -> Vec<u8> {
    let arguments = [code.to_be_bytes().as_slice(), &short_text(text.as_bytes()), &[0; 4]].concat();
    method(50, &arguments)
}

fn settings(password: Option<&str>, vhost: Option<&str>) -> Settings {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Settings { password: owned(password), vhost: owned(vhost), ..Settings::default() }
}

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.";
const ABSENT: &str = "NOT_ALLOWED - vhost app not found";
const FOREIGN: &str = "NOT_ALLOWED - access to vhost 'app' refused for user 'guest'";
const DOWN: &str = "INTERNAL_ERROR - access to vhost 'app' refused: vhost 'app' is down";

#[test]
fn each_end_of_a_connection_has_its_verdict() {
    let (none, password, vhost) =
        (Settings::default(), settings(Some("secret"), None), settings(None, Some("app")));
    let begin = || [start("AMQPLAIN PLAIN"), tune()].concat();
    let refused = |text: &str| Verdict::pending(format!("the server refuses the login: {text}"));
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of AMQP 0-9-1; it said: {said}"))
    };
    let rows: Vec<(Vec<Vec<u8>>, &Settings, Verdict)> = vec![
        (vec![begin(), open_ok()], &none, Verdict::Ready),
        (vec![begin(), framed(8, &[]), open_ok()], &vhost, Verdict::Ready),
        (vec![start("PLAIN"), close(403, REFUSED)], &none, Verdict::Ready),
        (vec![start("PLAIN"), close(403, REFUSED)], &password, refused(REFUSED)),
        (vec![begin(), close(530, ABSENT)], &none, Verdict::Ready),
        (
            vec![begin(), close(530, ABSENT)],
            &vhost,
            Verdict::pending("the virtual host \"app\" does not exist yet"),
        ),
        (vec![begin(), close(530, FOREIGN)], &vhost, refused(FOREIGN)),
        (vec![begin(), close(541, DOWN)], &none, Verdict::pending(format!("{DOWN} (reply code 541)"))),
        (vec![start("EXTERNAL")], &none, Verdict::Ready),
        (
            vec![start("EXTERNAL")],
            &password,
            Verdict::failed("the broker offers no login with a password (PLAIN), only EXTERNAL"),
        ),
        (
            vec![b"AMQP\0\x01\0\0".to_vec()],
            &none,
            Verdict::failed(
                "the port does not speak AMQP 0-9-1, but AMQP 1.0.0: use the probe `tcp` or `log`",
            ),
        ),
        (vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()], &none, foreign("HTTP/1.1 400 Bad Request ")),
        (vec![vec![0x15, 3, 1, 0, 2, 2, 80]], &none, Verdict::failed(tls::SPEAKS_TLS)),
        (vec![begin(), framed(8, &[]).repeat(100)], &none, Failure::from(Denial::TimedOut).verdict(SERVER)),
        (vec![], &none, Failure::from(Denial::Closed).verdict(SERVER)),
    ];
    for (says, settings, expected) in rows {
        let quoted = String::from_utf8_lossy(&says.concat()).into_owned();
        assert_eq!(asked(&mut MemoryStream::new(says.concat()), settings), expected, "{quoted:?}");
    }
}

#[test]
fn every_beginning_of_a_conversation_is_survived() {
    let whole = [start("PLAIN"), tune(), open_ok()].concat();
    for length in 0..whole.len() {
        let mut cut = MemoryStream::new(&whole[..length]);
        assert_ne!(asked(&mut cut, &settings(Some("secret"), None)), Verdict::Ready, "{length}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        // Any verdict, and never a crash.
        let _ = asked(&mut MemoryStream::new(changed), &Settings::default());
    }
}

#[test]
fn a_login_is_sent_and_the_connection_left_politely() {
    let says = [start("PLAIN"), tune(), open_ok(), method(51, &[])].concat();
    let mut server = MemoryStream::new(says);
    let fields = Settings { user: Some("app".into()), ..settings(Some("secret"), Some("orders")) };
    assert_eq!(asked(&mut server, &fields), Verdict::Ready);
    let told = &server.told;
    assert!(told.starts_with(b"AMQP\0\0\x09\x01"));
    for part in [
        &b"\x05PLAIN\0\0\0\x0b\0app\0secret"[..],
        b"\x07\xff\0\x02\0\0\0\0",
        b"\x06orders\0\0",
        b"\0\x0a\0\x32\0\xc8",
    ] {
        assert!(told.windows(part.len()).any(|bytes| bytes == part), "{}", part.escape_ascii());
    }
    // What a server refuses, the probe confirms.
    let mut server = MemoryStream::new([start("PLAIN"), close(403, REFUSED)].concat());
    let _ = asked(&mut server, &fields);
    assert!(server.told.ends_with(&method(51, &[])));
}

#[test]
fn the_settings_name_port_and_tls() {
    let peer = Peer::new()
        .shakes_hands()
        .expects("AMQP\0\0\u{9}\u{1}")
        .sends([start("PLAIN"), tune(), open_ok()].concat());
    let sidecar = Sidecar::new()
        .port(5672)
        .settings(r#"{"port": 5671, "tls": true, "server_name": "broker.test"}"#)
        .accepts(5671, peer)
        .tls();
    assert_eq!(sidecar.check::<Amqp>(), Verdict::Ready);
    assert_eq!(sidecar.handshakes()[0].0, "broker.test");
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let long = format!(r#"{{"vhost": "{}"}}"#, "a".repeat(256));
    for (json, expected) in [
        (r#"{"user": "a", "password": "b", "vhost": "c"}"#, vec![]),
        (r#"{"password": "b"}"#, vec![]),
        (r#"{"user": "a"}"#, vec!["user"]),
        (r#"{"password": "", "vhost": "a\u0000", "port": 0}"#, vec!["port", "password", "vhost"]),
        (long.as_str(), vec!["vhost"]),
        (r#"{"server_name": "a"}"#, vec!["server_name"]),
        (r#"{"virtual_host": "a"}"#, vec!["virtual_host"]),
    ] {
        let problems = Sidecar::new().settings(json).validate::<Amqp>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, expected, "{json}");
    }
}
