//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream, Peer, Sidecar};

use super::*;

fn asked(server: &mut MemoryStream, settings: &Settings) -> Verdict {
    converse(server, settings).unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn login(username: Option<&str>, password: Option<&str>) -> Settings {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Settings { username: owned(username), password: owned(password), ..Settings::default() }
}

#[test]
fn each_answer_has_its_verdict() {
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of memcached; it said: {said}"))
    };
    let rows: [(&str, Verdict); 9] = [
        ("VERSION 1.6.18\r\n", Verdict::Ready),
        ("VERSION \r\n", Verdict::pending("memcached tells no version")),
        (
            "CLIENT_ERROR unauthenticated\r\n",
            Verdict::failed("memcached needs a login: add `settings.username` and `settings.password`"),
        ),
        (
            "SERVER_ERROR out of memory reading request\r\n",
            Verdict::pending("SERVER_ERROR out of memory reading request"),
        ),
        ("ERROR Too many open connections\r\n", Verdict::pending("ERROR Too many open connections")),
        ("-ERR unknown command `version`\r\n", foreign("-ERR unknown command `version`")),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", foreign("HTTP/1.1 400 Bad Request")),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}P", Verdict::failed(tls::SPEAKS_TLS)),
        ("", Verdict::pending("the port accepts connections, but closes them without an answer")),
    ];
    for (says, expected) in rows {
        let mut server = MemoryStream::new(says);
        assert_eq!(asked(&mut server, &Settings::default()), expected, "{says}");
        assert!(server.told.starts_with(b"version\r\n"), "{says}");
    }
}

#[test]
fn a_login_is_sent_first() {
    let settings = login(Some("app"), Some("s\u{e9}cre t"));
    let mut server = MemoryStream::new("STORED\r\nVERSION 1.6.18\r\n");
    assert_eq!(asked(&mut server, &settings), Verdict::Ready);
    let told = "set farrier 0 -1 12\r\napp s\u{e9}cre t\r\nversion\r\nquit\r\n";
    assert_eq!(String::from_utf8_lossy(&server.told), told);
    let refused = "CLIENT_ERROR authentication failure";
    assert_eq!(
        asked(&mut MemoryStream::new(format!("{refused}\r\n")), &settings),
        Verdict::pending(format!("the server refuses the login: {refused}"))
    );
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let mut server = MemoryStream::ending("", Denial::TimedOut);
    assert_eq!(
        asked(&mut server, &Settings::default()),
        Verdict::pending("the port accepts connections, but memcached does not answer yet")
    );
}

#[test]
fn the_settings_name_port_and_tls() {
    let peer = || Peer::new().shakes_hands().expects("version\r\n").sends("VERSION 1\r\n");
    let sidecar = Sidecar::new()
        .port(11211)
        .settings(r#"{"port": 9000, "tls": true, "server_name": "cache.test"}"#)
        .accepts(9000, peer())
        .tls();
    assert_eq!(sidecar.check::<Memcached>(), Verdict::Ready);
    assert_eq!(sidecar.handshakes()[0].0, "cache.test");
    // As OpenSSL does it: whatever is no greeting of its own is closed.
    let tls = Peer::answers(|said| {
        Some(if said.starts_with(&[0x16, 3]) { vec![0x16, 3, 3, 0, 1] } else { Vec::new() })
    });
    let sidecar = Sidecar::new().port(11211).accepts(11211, tls);
    assert_eq!(sidecar.check::<Memcached>(), Verdict::failed(tls::SPEAKS_TLS));
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let rows = [
        (login(Some("app"), None), vec!["username"]),
        (login(None, Some("x")), vec!["password"]),
        (login(Some(""), Some("a\r\nflush_all")), vec!["username", "password"]),
        (login(Some("app"), Some("x")), vec![]),
        (Settings { port: Some(0), ..Settings::default() }, vec!["port"]),
        (Settings { server_name: Some("a".into()), ..Settings::default() }, vec!["server_name"]),
    ];
    for (settings, expected) in rows {
        let problems = Memcached::validate(&settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings:?}");
    }
}
