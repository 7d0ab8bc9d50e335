//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream, Peer, Sidecar};

use super::*;

fn asked(server: &mut MemoryStream, settings: &Settings, name: Option<&str>) -> Verdict {
    session::hold(server, settings, name).unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn for_recipient() -> Settings {
    Settings { recipient: Some("ops@example.test".into()), ..Settings::default() }
}

const GREETING: &str = "220 mail.test ESMTP\r\n";
const HELLO: &str = "250-mail.test\r\n250-SIZE 1000\r\n250-StartTLS\r\n250 8BITMIME\r\n";
const EHLO: &str = "EHLO [127.0.0.1]\r\n";

#[test]
fn each_reply_has_its_verdict() {
    let pending = |text: &str| Verdict::pending(format!("the mail server does not serve: {text}"));
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of SMTP; it said: {said}"))
    };
    let rows = [
        (format!("{GREETING}{HELLO}"), Verdict::Ready),
        (format!("220-mail.test\r\n220 ESMTP\r\n{HELLO}"), Verdict::Ready),
        ("220\r\n250\r\n".to_owned(), Verdict::Ready),
        ("421 mail.test too busy\r\n".to_owned(), pending("421 mail.test too busy")),
        ("554 no service here\r\n".to_owned(), pending("554 no service here")),
        (format!("{GREETING}550 not you\r\n"), pending("550 not you")),
        (format!("{GREETING}452\r\n"), pending("452")),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), foreign("SSH-2.0-OpenSSH_9.2")),
        ("+OK POP3\r\n".to_owned(), foreign("+OK POP3")),
        ("2200 mail\r\n".to_owned(), foreign("2200 mail")),
        ("HTTP/1.1 400 Bad Request\r\n".to_owned(), foreign("HTTP/1.1 400 Bad Request")),
        (
            GREETING.to_owned(),
            Verdict::pending("the port accepts connections, but closes them without an answer"),
        ),
    ];
    for (says, expected) in rows {
        let mut server = MemoryStream::new(says.as_str());
        assert_eq!(asked(&mut server, &Settings::default(), None), expected, "{says}");
    }
    // A reply without an end has one.
    let mut endless = MemoryStream::new(format!("{GREETING}{}", "250-x\r\n".repeat(10_000)));
    assert_eq!(asked(&mut endless, &Settings::default(), None), Verdict::Ready);
    assert!(!endless.says.is_empty());
}

#[test]
fn a_recipient_is_tried_and_the_transaction_reset() {
    let told = format!("{EHLO}MAIL FROM:<>\r\nRCPT TO:<ops@example.test>\r\nRSET\r\nQUIT\r\n");
    let mut server = MemoryStream::new(format!("{GREETING}{HELLO}250 ok\r\n250 ok\r\n250 ok\r\n221 bye\r\n"));
    assert_eq!(asked(&mut server, &for_recipient(), None), Verdict::Ready);
    assert_eq!(String::from_utf8_lossy(&server.told), told);
    let refused = |text: &str| Verdict::pending(format!("the server does not accept the recipient: {text}"));
    let rows = [
        ("250 ok\r\n550 5.1.1 no such user\r\n", refused("550 5.1.1 no such user")),
        ("451 4.3.0 lookup failure\r\n", refused("451 4.3.0 lookup failure")),
        (
            "530 5.7.0 Must issue a STARTTLS command first\r\n",
            Verdict::failed(
                "the server needs TLS before mail (add `tls = true`): 530 5.7.0 Must issue a STARTTLS command first",
            ),
        ),
    ];
    for (says, expected) in rows {
        let mut server = MemoryStream::new(format!("{GREETING}{HELLO}{says}"));
        assert_eq!(asked(&mut server, &for_recipient(), None), expected, "{says}");
        assert!(server.told.ends_with(b"QUIT\r\n"), "{says}");
    }
}

#[test]
fn starttls_comes_between_two_greetings() {
    let mut server = MemoryStream::new(format!("{GREETING}{HELLO}220 go on\r\n{HELLO}"));
    assert_eq!(asked(&mut server, &Settings::default(), Some("mail.test")), Verdict::Ready);
    assert_eq!(String::from_utf8_lossy(&server.told), format!("{EHLO}STARTTLS\r\nmail.test{EHLO}QUIT\r\n"));
    let mut without = MemoryStream::new(format!("{GREETING}250 mail.test\r\n"));
    let Verdict::Failed(reason) = asked(&mut without, &Settings::default(), Some("mail.test")) else {
        panic!("there is no TLS")
    };
    assert!(reason.starts_with("the port does not speak TLS"), "{reason}");
    let mut refuses = MemoryStream::new(format!("{GREETING}{HELLO}454 TLS not available\r\n"));
    assert_eq!(
        asked(&mut refuses, &Settings::default(), Some("mail.test")),
        Verdict::pending("the mail server does not serve: 454 TLS not available")
    );
}

#[test]
fn where_tls_begins_depends_on_the_port() {
    let hello = || Peer::new().shakes_hands().sends(GREETING).expects(EHLO).sends(HELLO);
    let check = |port: u16, settings: &str, peer: Peer| {
        let sidecar = Sidecar::new().port(port).settings(settings).accepts(port, peer).tls();
        (sidecar.check::<Smtp>(), sidecar.handshakes())
    };
    let (verdict, handshakes) = check(465, r#"{"tls": true, "server_name": "mail.test"}"#, hello());
    assert_eq!((verdict, handshakes[0].0.as_str()), (Verdict::Ready, "mail.test"));
    assert_eq!(check(2465, r#"{"tls": true, "starttls": false}"#, hello()).0, Verdict::Ready);
    let upgrades = Peer::new()
        .sends(GREETING)
        .expects(EHLO)
        .sends(HELLO)
        .expects("STARTTLS\r\n")
        .sends("220 go on\r\n")
        .shakes_hands()
        .expects(EHLO)
        .sends(HELLO);
    assert_eq!(check(25, r#"{"tls": true}"#, upgrades).0, Verdict::Ready);
    let tls = || Peer::new().sends(b"\x16\x03\x03\0\x7a\x02");
    assert_eq!(check(465, "{}", tls()).0, Verdict::failed(tls::SPEAKS_TLS));
    assert_eq!(check(25, "{}", tls()).0, Verdict::failed(tls::SPEAKS_TLS));
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let mut server = MemoryStream::ending("", Denial::TimedOut);
    assert_eq!(
        asked(&mut server, &Settings::default(), None),
        Verdict::pending("the port accepts connections, but the mail server does not answer yet")
    );
}

#[test]
fn senseless_settings_are_refused_by_field() {
    for (json, expected) in [
        (r#"{"recipient": "a@b", "tls": true, "starttls": false}"#, vec![]),
        (r#"{"recipient": "a"}"#, vec!["recipient"]),
        (r#"{"recipient": "a@b> SIZE=1"}"#, vec!["recipient"]),
        (r#"{"recipient": "a@b\r\nDATA"}"#, vec!["recipient"]),
        (r#"{"starttls": true, "port": 0}"#, vec!["port", "starttls"]),
        (r#"{"server_name": "a"}"#, vec!["server_name"]),
    ] {
        let problems = Sidecar::new().settings(json).validate::<Smtp>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, expected, "{json}");
    }
}
