//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream, Peer, Sidecar};

use super::*;

fn asked(server: &mut MemoryStream, settings: &Settings, name: Option<&str>) -> Verdict {
    session::hold(server, settings, name).unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn settings(json: &str) -> Settings {
    serde_json::from_str(json).unwrap()
}

/// As nats-server 2.9 begins, and more fields.
fn info(fields: &str) -> String {
    format!(
        "INFO {{\"server_id\":\"NA\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1048576{fields}}} \r\n"
    )
}

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"name\":\"farrier\",\
                       \"lang\":\"farrier\",\"version\":\"0.1.0\",\"protocol\":1,\"headers\":true,\"no_responders\":true";

#[test]
fn each_answer_has_its_verdict() {
    let refused = |text: &str| Verdict::pending(format!("the server refuses the login: {text}"));
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of NATS; it said: {said}"))
    };
    let login = r#"{"user": "app", "password": "secret"}"#;
    let required = info(",\"auth_required\":true");
    let rows = [
        (info("") + "PONG\r\n", "{}", Verdict::Ready),
        (info("") + "PING\r\n+OK\r\n" + &info("") + "PONG\r\n", "{}", Verdict::Ready),
        (
            required.clone(),
            "{}",
            Verdict::failed(
                "NATS needs a login: add `settings.user` and `settings.password`, or `settings.token`",
            ),
        ),
        (required.clone() + "-ERR 'Authorization Violation'\r\n", login, refused("Authorization Violation")),
        (required.clone() + "PONG\r\n", login, Verdict::Ready),
        (required + "PONG\r\n", r#"{"token": "t"}"#, Verdict::Ready),
        (
            "-ERR 'maximum connections exceeded'\r\n".to_owned(),
            "{}",
            Verdict::pending("maximum connections exceeded"),
        ),
        (info(",\"tls_required\":true"), "{}", Verdict::failed(tls::SPEAKS_TLS)),
        (info("") + "-ERR 'Secure Connection - TLS Required'\r\n", "{}", Verdict::failed(tls::SPEAKS_TLS)),
        ("HTTP/1.1 400 Bad Request\r\n".to_owned(), "{}", foreign("HTTP/1.1 400 Bad Request")),
        ("INFO all is well\r\n".to_owned(), "{}", foreign("INFO all is well")),
        (info("") + "what?\r\n", "{}", foreign("what?")),
        (info(""), "{}", Verdict::pending("the port accepts connections, but closes them without an answer")),
        (info("") + &"+OK\r\n".repeat(1_000), "{}", Verdict::pending("the server does not answer PING")),
    ];
    for (says, json, expected) in rows {
        assert_eq!(asked(&mut MemoryStream::new(says.as_str()), &settings(json), None), expected, "{says}");
    }
}

#[test]
fn a_login_is_quoted_as_json() {
    for (json, told) in [
        ("{}", ""),
        (r#"{"user": "a\"b", "password": "\n"}"#, r#","user":"a\"b","pass":"\n""#),
        (r#"{"token": "t"}"#, r#","auth_token":"t""#),
    ] {
        let mut server = MemoryStream::new(info("") + "PONG\r\n");
        assert_eq!(asked(&mut server, &settings(json), None), Verdict::Ready);
        assert_eq!(String::from_utf8_lossy(&server.told), format!("{CONNECT}{told}}}\r\nPING\r\n"));
    }
}

#[test]
fn jetstream_is_asked_about_itself() {
    let begin = info(",\"jetstream\":true") + "PONG\r\n";
    let message = |json: &str| format!("MSG _INBOX.farrier 1 {}\r\n{json}\r\n", json.len());
    let unavailable = r#"{"error":{"code":503,"description":"JetStream system temporarily unavailable"}}"#;
    let rows = [
        (
            begin.clone() + &message(r#"{"type":"io.nats.jetstream.api.v1.account_info_response"}"#),
            Verdict::Ready,
        ),
        (begin.clone() + "PING\r\n" + &message("{}"), Verdict::Ready),
        (
            begin.clone() + &message(unavailable),
            Verdict::pending("JetStream is not ready: JetStream system temporarily unavailable"),
        ),
        (
            begin.clone() + "HMSG _INBOX.farrier 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
            Verdict::pending("JetStream does not answer yet"),
        ),
        (begin.clone(), Verdict::pending("JetStream does not answer yet")),
        (begin.clone() + &message("ready"), Verdict::pending("JetStream's answer is not JSON")),
        (
            begin.clone() + "-ERR 'Permissions Violation for Publish to \"$JS.API.INFO\"'\r\n",
            Verdict::pending("Permissions Violation for Publish to \"$JS.API.INFO\""),
        ),
        (
            begin + "MSG _INBOX.farrier 1 99999999999\r\n",
            Verdict::failed(
                "the port does not speak the protocol of NATS; it said: MSG _INBOX.farrier 1 99999999999",
            ),
        ),
        (
            info(""),
            Verdict::failed(
                "JetStream is off: start the server with `-js`, or remove `jetstream` from the settings",
            ),
        ),
    ];
    for (says, expected) in rows {
        let mut server = MemoryStream::new(says.as_str());
        assert_eq!(asked(&mut server, &settings(r#"{"jetstream": true}"#), None), expected, "{says}");
    }
}

#[test]
fn tls_begins_after_the_information() {
    let mut server = MemoryStream::new(info(",\"tls_required\":true") + "PONG\r\n");
    assert_eq!(asked(&mut server, &settings("{}"), Some("nats.test")), Verdict::Ready);
    assert!(server.told.starts_with(b"nats.testCONNECT "), "{:?}", String::from_utf8_lossy(&server.told));
    let mut plain = MemoryStream::new(info(""));
    let Verdict::Failed(reason) = asked(&mut plain, &settings("{}"), Some("nats.test")) else {
        panic!("there is no TLS")
    };
    assert!(reason.starts_with("the port does not speak TLS"), "{reason}");
    // What follows the information in plain text was not said by the server inside TLS.
    let mut added = MemoryStream::in_one_piece(info(",\"tls_available\":true") + "PONG\r\n");
    assert!(matches!(asked(&mut added, &settings("{}"), Some("nats.test")), Verdict::Failed(_)));
    assert_eq!(added.told, b"");
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let mut server = MemoryStream::ending("", Denial::TimedOut);
    assert_eq!(
        asked(&mut server, &Settings::default(), None),
        Verdict::pending("the port accepts connections, but NATS does not answer yet")
    );
}

#[test]
fn the_settings_name_port_and_tls() {
    let peer = Peer::new().sends(info(",\"tls_required\":true")).shakes_hands().sends("PONG\r\n");
    let sidecar = Sidecar::new()
        .port(4222)
        .settings(r#"{"port": 9000, "tls": "insecure", "server_name": "nats.test"}"#)
        .accepts(9000, peer)
        .tls();
    assert_eq!(sidecar.check::<Nats>(), Verdict::Ready);
    assert_eq!(sidecar.handshakes()[0].0, "nats.test");
}

#[test]
fn senseless_settings_are_refused_by_field() {
    for (json, expected) in [
        (r#"{"user": "a", "password": "b"}"#, vec![]),
        (r#"{"user": "a"}"#, vec![]),
        (r#"{"token": "a", "jetstream": true}"#, vec![]),
        (r#"{"password": "b"}"#, vec!["password"]),
        (r#"{"user": "", "password": "", "port": 0}"#, vec!["port", "user", "password"]),
        (r#"{"user": "a", "token": "b"}"#, vec!["token"]),
        (r#"{"server_name": "a"}"#, vec!["server_name"]),
        (r#"{"jetstream": "yes"}"#, vec!["jetstream"]),
    ] {
        let problems = Sidecar::new().settings(json).validate::<Nats>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, expected, "{json}");
    }
}
