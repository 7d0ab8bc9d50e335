//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream as Server, Peer, Sidecar};

use super::*;

fn verdict(says: impl Into<Vec<u8>>, settings: &Settings) -> Verdict {
    let answer = conversation::hold(&mut Server::new(says), settings, "nonce");
    answer.unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

fn request(code: u32, data: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), data].concat())
}

/// As PostgreSQL 15 sends it.
fn error(code: &str, text: &str) -> Vec<u8> {
    let body = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0Fpostmaster.c\0L2333\0RProcessStartupPacket\0\0");
    message(b'E', body.as_bytes())
}

/// What a trusted session begins with.
fn session() -> Vec<u8> {
    let parameter = message(b'S', b"server_version\x0015.14\0");
    [request(0, b""), parameter, message(b'K', &[0; 8]), message(b'Z', b"I")].concat()
}

fn settings(fields: &[(&str, &str)]) -> Settings {
    let field =
        |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings {
        port: None,
        user: field("user"),
        database: field("database"),
        password: field("password"),
        query: field("query"),
        ..Settings::default()
    }
}

#[test]
fn each_answer_to_a_start_has_its_verdict() {
    let starting = "the database system is starting up";
    let rows: Vec<(Vec<u8>, Verdict)> = vec![
        (session(), Verdict::Ready),
        (request(3, b""), Verdict::Ready),
        (request(5, b"salt"), Verdict::Ready),
        (request(10, b"SCRAM-SHA-256\0\0"), Verdict::Ready),
        (error("57P03", starting), Verdict::pending(starting)),
        (
            error("53300", "sorry, too many clients already"),
            Verdict::pending("sorry, too many clients already"),
        ),
        (error("3D000", "database \"postgres\" does not exist"), Verdict::Ready),
        (error("28000", "role \"postgres\" does not exist"), Verdict::Ready),
        (
            error("XX000", "could not open relation"),
            Verdict::pending("could not open relation (SQLSTATE XX000)"),
        ),
        (
            error("0A000", "unsupported frontend protocol 3.0: server supports 1.0 to 2.0"),
            Verdict::failed("unsupported frontend protocol 3.0: server supports 1.0 to 2.0"),
        ),
        (
            b"Ecould not fork new process for connection: Cannot allocate memory\n\0".to_vec(),
            Verdict::pending("could not fork new process for connection: Cannot allocate memory"),
        ),
    ];
    for (says, expected) in rows {
        let quoted = String::from_utf8_lossy(&says).into_owned();
        assert_eq!(verdict(says, &Settings::default()), expected, "{quoted}");
    }
}

#[test]
fn what_is_not_postgresql_is_told_with_its_words() {
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of PostgreSQL; it said: {said}"))
    };
    let closed = Verdict::pending("the port accepts connections, but closes them without an answer");
    let rows: Vec<(Vec<u8>, Verdict)> = vec![
        (Vec::new(), closed.clone()),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), foreign("HTTP/1.1 400 Bad Request ")),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), foreign("SSH-2.0-OpenSSH_9.2 ")),
        (b"R\0".to_vec(), foreign("R\\u{0}")),
        (b"S\0\0\0\x08abcd".to_vec(), foreign("S\\u{0}\\u{0}\\u{0}\\u{8}abcd")),
        (b"R\0\0\0\x03".to_vec(), foreign("R\\u{0}\\u{0}\\u{0}\\u{3}")),
        // Truncated, or longer than what follows.
        (b"R\0\0\0\x08\0\0".to_vec(), closed.clone()),
        (b"R\xff\xff\xff\xffabc".to_vec(), closed.clone()),
        (b"R\0\0\0\x05x".to_vec(), foreign("x")),
        (b"E\xff\xff\xff\xff\x01\x02".to_vec(), foreign("E\\xff\\xff\\xff\\xff\\u{1}\\u{2}")),
    ];
    for (says, expected) in rows {
        let quoted = String::from_utf8_lossy(&says).into_owned();
        assert_eq!(verdict(says, &Settings::default()), expected, "{quoted:?}");
    }
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let rows = [
        (Denial::TimedOut, "the port accepts connections, but PostgreSQL does not answer yet"),
        (Denial::Closed, "the port accepts connections, but closes them without an answer"),
        (Denial::Other("no route".into()), "the connection failed: no route"),
    ];
    for (denial, expected) in rows {
        let answer = conversation::hold(&mut Server::ending("", denial), &Settings::default(), "n");
        assert_eq!(answer.expect_err("nothing was said").verdict(SERVER), Verdict::pending(expected));
    }
}

#[test]
fn a_database_that_is_asked_for_is_waited_for() {
    let absent = error("3D000", "database \"app\" does not exist");
    let pending = Verdict::pending("the database \"app\" does not exist yet");
    for fields in [&[("database", "app")][..], &[("user", "app"), ("query", "select 1")]] {
        assert_eq!(verdict([request(0, b""), absent.clone()].concat(), &settings(fields)), pending);
    }
}

#[test]
fn a_database_that_is_asked_for_is_never_passed_over() {
    let fields = settings(&[("database", "app")]);
    let role = error("28000", "role \"postgres\" does not exist");
    assert_eq!(
        verdict([request(0, b""), role].concat(), &fields),
        Verdict::pending("the server refuses the login: role \"postgres\" does not exist")
    );
    for request in [request(3, b""), request(5, b"salt"), request(10, b"SCRAM-SHA-256\0\0")] {
        assert_eq!(
            verdict(request, &fields),
            Verdict::failed(
                "the server says whether the database is there only after a login: add `settings.password`"
            )
        );
    }
}

#[test]
fn a_login_without_an_end_has_a_verdict() {
    let endless = Verdict::pending("the server sends parameters and notices, but no session begins");
    for kind in [b'S', b'N'] {
        let stream = message(kind, b"a\0b\0").repeat(100_000);
        assert_eq!(verdict([request(0, b""), stream].concat(), &Settings::default()), endless);
    }
}

#[test]
fn a_port_that_wants_tls_is_told_so() {
    // As OpenSSL does it: whatever is no greeting of its own is closed.
    let tls = Peer::answers(|said| {
        Some(if said.starts_with(&[0x16, 3]) { vec![0x16, 3, 3, 0, 1] } else { Vec::new() })
    });
    let alerts = Peer::new().sends([0x15, 3, 1, 0, 2, 2, 80]);
    for peer in [tls, alerts] {
        let sidecar = Sidecar::new().settings(r#"{"port": 6432}"#).port(5432).accepts(6432, peer);
        assert_eq!(sidecar.check::<Postgres>(), Verdict::failed(tls::SPEAKS_TLS));
    }
}

#[test]
fn a_session_is_asked_for_and_left_politely() {
    let mut server = Server::new(session());
    let fields = settings(&[("user", "app")]);
    let answer = conversation::hold(&mut server, &fields, "n");
    assert_eq!(answer.ok(), Some(Verdict::Ready));
    let start = b"\0\0\0\x38\0\x03\0\0user\0app\0database\0app\0application_name\0farrier\0\0";
    assert_eq!(server.told, [start.as_slice(), b"X\0\0\0\x04"].concat());
    // Not into an authentication: the server would log it as an error.
    let mut server = Server::new(request(10, b"SCRAM-SHA-256\0\0"));
    assert_eq!(conversation::hold(&mut server, &fields, "n").ok(), Some(Verdict::Ready));
    assert_eq!(server.told, start);
}

#[test]
fn a_password_is_proven_as_the_server_asks() {
    let wrong = error("28P01", "password authentication failed for user \"postgres\"");
    let refused = Verdict::pending(
        "the server refuses the login: password authentication failed for user \"postgres\"",
    );
    let with_password = settings(&[("password", "secret")]);
    assert_eq!(verdict([request(3, b""), session()].concat(), &with_password), Verdict::Ready);
    assert_eq!(verdict([request(5, b"salt"), session()].concat(), &with_password), Verdict::Ready);
    assert_eq!(verdict([request(3, b""), wrong].concat(), &with_password), refused);
    for request in [request(7, b""), request(10, b"OAUTHBEARER\0\0"), request(11, b"r=?"), request(5, b"s")] {
        assert!(matches!(verdict(request, &with_password), Verdict::Failed(reason)
            if reason.contains("does not know (number ")));
    }
    assert!(matches!(verdict(request(12, b"v=x"), &with_password), Verdict::Failed(_)));
}

#[test]
fn a_query_is_run_to_its_end() {
    let query = settings(&[("query", "select 1")]);
    let done =
        [message(b'T', b""), message(b'D', &[0; 40_000]), message(b'C', b"SELECT 1\0"), message(b'Z', b"I")];
    let missing = [error("42P01", "relation \"jobs\" does not exist"), message(b'Z', b"I")];
    let rows = [
        (done.concat(), Verdict::Ready),
        (missing.concat(), Verdict::pending("the query failed: relation \"jobs\" does not exist")),
        (message(b'G', b""), Verdict::failed("the query must not wait for data, as COPY does")),
    ];
    for (says, expected) in rows {
        assert_eq!(verdict([session(), says].concat(), &query), expected);
    }
    assert_eq!(
        verdict(request(10, b"SCRAM-SHA-256\0\0"), &query),
        Verdict::failed("the query needs a login: add `settings.password`")
    );
    let mut late = Server::ending(session(), Denial::TimedOut);
    assert_eq!(
        conversation::hold(&mut late, &query, "n").ok(),
        Some(Verdict::pending("the query did not end in time; `limits.poll` gives it more"))
    );
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let rows = [
        (settings(&[("user", ""), ("query", " ")]), vec!["user", "query"]),
        (settings(&[("password", "a\0b"), ("database", "\0")]), vec!["database", "password"]),
        (settings(&[("user", "app"), ("database", "app"), ("password", "x"), ("query", "select 1")]), vec![]),
        (Settings { port: Some(0), ..Settings::default() }, vec!["port"]),
        (Settings::default(), vec![]),
    ];
    for (settings, expected) in rows {
        let problems = Postgres::validate(&settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings:?}");
    }
}

#[test]
fn tls_begins_when_the_server_agrees() {
    let ready = [request(0, &[]), message(b'Z', b"I")].concat();
    let check = |settings: &str, peer: Peer| {
        let sidecar = Sidecar::new().port(5432).settings(settings).accepts(5432, peer).tls();
        (sidecar.check::<Postgres>(), sidecar.handshakes())
    };
    for settings in [r#"{"tls": true}"#, r#"{"tls": "insecure"}"#, r#"{"sslmode": "require"}"#] {
        let peer = Peer::new().expects(SSL).sends("S").shakes_hands().sends(&ready);
        let (verdict, handshakes) = check(settings, peer);
        assert_eq!(verdict, Verdict::Ready, "{settings}");
        assert_eq!(handshakes[0].0, "sidecar");
    }
    let named = r#"{"sslmode": "verify-full", "server_name": "db.test"}"#;
    let (_, handshakes) = check(named, Peer::new().expects(SSL).sends("S").shakes_hands().sends(&ready));
    assert_eq!(handshakes[0].0, "db.test");
    let refused = "the port does not speak TLS: PostgreSQL has `ssl = off`";
    let rows = [
        (Peer::new().expects(SSL).sends("N"), refused),
        (Peer::new().expects(SSL).sends(error("53300", "too many clients")), "too many clients"),
        (
            Peer::new().expects(SSL).sends("HTTP/1.1 400\r\n"),
            "the port does not speak the protocol of PostgreSQL",
        ),
        (Peer::new().expects(SSL), "the port accepts connections, but closes them"),
        (Peer::new().expects(SSL).stalls(), "the port accepts connections, but PostgreSQL does not answer"),
        // What somebody in between adds to the server's word is no part of what follows inside TLS.
        (Peer::new().expects(SSL).sends("SZ").shakes_hands(), "the port does not speak TLS"),
    ];
    for (peer, expected) in rows {
        let told = format!("{peer:?}");
        let reason = match check(r#"{"tls": true}"#, peer).0 {
            Verdict::Pending(pending) => pending.reason,
            Verdict::Failed(reason) => reason,
            Verdict::Ready => String::new(),
        };
        assert!(reason.starts_with(expected), "{told}: {reason}");
    }
}

/// The request for TLS.
const SSL: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

#[test]
fn a_rule_that_demands_tls_is_told() {
    let refusal = error(
        "28000",
        "no pg_hba.conf entry for host \"1.2.3.4\", user \"a\", database \"b\", no encryption",
    );
    let settings = Settings { database: Some("b".into()), ..Settings::default() };
    let Verdict::Pending(pending) = verdict(refusal, &settings) else { panic!("it may change") };
    assert!(pending.reason.ends_with("add `tls = true` to the settings)"), "{}", pending.reason);
}

#[test]
fn senseless_modes_of_tls_name_their_field() {
    for (settings, fields) in [
        (r#"{"sslmode": "verify-full", "server_name": "a"}"#, vec![]),
        (r#"{"sslmode": "disable"}"#, vec![]),
        (r#"{"sslmode": "prefer"}"#, vec!["sslmode"]),
        (r#"{"sslmode": "require", "tls": true}"#, vec!["sslmode"]),
        (r#"{"server_name": "a"}"#, vec!["server_name"]),
        (r#"{"tls": "maybe"}"#, vec!["tls"]),
    ] {
        let problems = Sidecar::new().settings(settings).validate::<Postgres>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, fields, "{settings}");
    }
}
