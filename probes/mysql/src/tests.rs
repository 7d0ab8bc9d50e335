//! Conversations with servers in memory, as captured and as malformed.

use farrier_probe::Denial;
use farrier_probe::testing::{MemoryStream as Server, Peer, Sidecar};

use super::*;

fn verdict(says: impl Into<Vec<u8>>, settings: &Settings) -> Verdict {
    session::hold(&mut Server::new(says), settings, "db").unwrap_or_else(|failure| failure.verdict(SERVER))
}

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[sequence], body].concat()
}

/// As MariaDB 10.11 sends it, with this plugin.
fn greeting(plugin: &str) -> Vec<u8> {
    let mut body =
        b"\x0a5.5.5-10.11.14-MariaDB-0+deb12u2\0\x05\0\0\0ABCDEFGH\0\xfe\xf7\x2d\x02\0\xff\x81\x15".to_vec();
    body.extend_from_slice(b"\0\0\0\0\0\0\x1d\0\0\0IJKLMNOPQRST\0");
    body.extend_from_slice(plugin.as_bytes());
    body.push(0);
    packet(0, &body)
}

fn refusal(sequence: u8, number: u16, text: &str) -> Vec<u8> {
    packet(sequence, &[&[0xff], number.to_le_bytes().as_slice(), text.as_bytes()].concat())
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

fn settings(user: Option<&str>, password: Option<&str>) -> Settings {
    Settings { user: user.map(str::to_owned), password: password.map(str::to_owned), ..Settings::default() }
}

#[test]
fn each_end_of_a_handshake_has_its_verdict() {
    let denied = "Access denied for user 'root'@'172.17.0.1' (using password: NO)";
    let no_password = Settings::default();
    let with_password = settings(None, Some("secret"));
    let refused = Verdict::pending(format!("the server refuses the login: {denied}"));
    let state = format!("#28000{denied}");
    let switched = packet(2, b"\xfemysql_native_password\0ABCDEFGHIJKLMNOPQRST\0");
    let unknown = packet(2, b"\xfeclient_ed25519\0ABCDEFGHIJKLMNOPQRSTUVWXYZ012345");
    let rows: Vec<(Vec<Vec<u8>>, &Settings, Verdict)> = vec![
        (vec![greeting(NATIVE), packet(2, OK)], &no_password, Verdict::Ready),
        (vec![greeting(NATIVE), refusal(2, 1045, &state)], &no_password, Verdict::Ready),
        (vec![greeting(NATIVE), refusal(2, 1698, &state)], &no_password, Verdict::Ready),
        (vec![greeting(NATIVE), refusal(2, 1045, &state)], &with_password, refused.clone()),
        (vec![greeting(CACHING), switched.clone(), packet(4, OK)], &with_password, Verdict::Ready),
        (vec![greeting(CACHING), switched, refusal(4, 1045, &state)], &with_password, refused),
        // What could not be proven is not held against the password.
        (vec![greeting(NATIVE), unknown, refusal(4, 1045, &state)], &with_password, Verdict::Ready),
        (vec![greeting(CACHING), packet(2, b"\x01\x03"), packet(3, OK)], &with_password, Verdict::Ready),
        (
            vec![greeting(CACHING), packet(2, b"\x01\x04"), refusal(4, 1045, &state)],
            &with_password,
            Verdict::Ready,
        ),
        (
            vec![refusal(0, 1040, "Too many connections")],
            &no_password,
            Verdict::pending("Too many connections (error 1040)"),
        ),
        (
            vec![greeting(NATIVE), refusal(2, 1053, "#08S01Server shutdown in progress")],
            &no_password,
            Verdict::pending("Server shutdown in progress (error 1053)"),
        ),
        (
            vec![refusal(0, 1129, "Host '172.17.0.1' is blocked because of many connection errors")],
            &no_password,
            Verdict::failed(
                "Host '172.17.0.1' is blocked because of many connection errors (error 1129) (recreate the \
                 sidecar, or raise its max_connect_errors)",
            ),
        ),
        (
            vec![refusal(0, 1130, "Host '172.17.0.1' is not allowed to connect to this MariaDB server")],
            &no_password,
            Verdict::pending(
                "the server refuses the login: Host '172.17.0.1' is not allowed to connect to this MariaDB server \
                 (make an account for '%')",
            ),
        ),
        (
            vec![greeting(NATIVE); 10],
            &no_password,
            Verdict::failed(
                "the port does not speak the protocol of MySQL; it said:  5.5.5-10.11.14-MariaDB-0+deb12u2",
            ),
        ),
        (
            std::iter::once(greeting(NATIVE)).chain(vec![packet(2, b"\xfex\0"); 20]).collect(),
            &no_password,
            Verdict::pending("the handshake does not end"),
        ),
    ];
    for (says, settings, expected) in rows {
        let quoted = String::from_utf8_lossy(&says.concat()).into_owned();
        let found = verdict(says.concat(), settings);
        match (&found, &expected) {
            (Verdict::Failed(found), Verdict::Failed(expected)) if expected.contains("it said") => {
                assert!(found.contains("it said"), "{found}");
            }
            _ => assert_eq!(found, expected, "{quoted}"),
        }
    }
}

#[test]
fn what_is_not_mysql_is_told_with_its_words() {
    let foreign = |said: &str| {
        Verdict::failed(format!("the port does not speak the protocol of MySQL; it said: {said}"))
    };
    let closed = Verdict::pending("the port accepts connections, but closes them without an answer");
    let whole = greeting(NATIVE);
    let rows: Vec<(Vec<u8>, Verdict)> = vec![
        (Vec::new(), closed.clone()),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), foreign("SSH-2.0-OpenSSH_9.2 ")),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), foreign("HTTP/1.1 400 Bad Request ")),
        (b"ab".to_vec(), foreign("ab")),
        (b"\xff\xff\xff\0".to_vec(), foreign("\\xff\\xff\\xff\\u{0}")),
        (packet(0, b"\x0b8.0"), foreign("\\u{b}8.0")),
        (packet(0, b"\xff\x01"), foreign("\\xff\\u{1}")),
        (packet(0, b"\x0a8.0\0\x01\0"), foreign("\u{20}8.0\\u{0}\\u{1}\\u{0}")),
        (whole[..40].to_vec(), closed.clone()),
        (whole, closed),
    ];
    for (says, expected) in rows {
        let quoted = String::from_utf8_lossy(&says).into_owned();
        assert_eq!(verdict(says, &Settings::default()), expected, "{quoted:?}");
    }
    for (body, words) in
        [(&b"\x093.20\0"[..], "version 9"), (b"\x0a4.0.30\0\x01\0\0\0ABCDEFGH\0\x2c\x20", "4.1")]
    {
        let found = verdict(packet(0, body), &Settings::default());
        assert!(matches!(&found, Verdict::Failed(reason) if reason.contains(words)), "{found:?}");
    }
}

#[test]
fn every_beginning_of_a_greeting_is_survived() {
    let whole = greeting(CACHING);
    for length in 1..whole.len() - 4 {
        // Ends at a NUL or in the middle: never a crash, and never ready.
        let found = verdict(packet(0, &whole[4..4 + length]), &Settings::default());
        assert_ne!(found, Verdict::Ready, "{length}");
    }
}

#[test]
fn a_server_that_is_silent_is_pending() {
    let rows = [
        (Denial::TimedOut, "the port accepts connections, but the server does not answer yet"),
        (Denial::Closed, "the port accepts connections, but closes them without an answer"),
        (Denial::Other("no route".into()), "the connection failed: no route"),
    ];
    for (denial, expected) in rows {
        let answer = session::hold(&mut Server::ending("", denial), &Settings::default(), "db");
        assert_eq!(answer.expect_err("nothing was said").verdict(SERVER), Verdict::pending(expected));
    }
}

#[test]
fn a_handshake_is_completed_and_left_politely() {
    let mut server = Server::new([greeting(NATIVE), packet(2, OK)].concat());
    let answer = session::hold(&mut server, &settings(Some("app"), None), "db");
    assert_eq!(answer.ok(), Some(Verdict::Ready));
    let mut response = b"\x01\x82\x08\0\0\0\0\x01\x21".to_vec();
    response.extend_from_slice(&[0; 23]);
    response.extend_from_slice(b"app\0\0mysql_native_password\0");
    assert_eq!(server.told, [packet(1, &response), packet(0, b"\x01")].concat());
}

/// A session as the server begins it, and then says this.
fn session_then(says: &[Vec<u8>]) -> Vec<u8> {
    [greeting(NATIVE), packet(2, OK), says.concat()].concat()
}

#[test]
fn a_database_and_a_query_are_asked_for_in_a_session() {
    let fields = |database: Option<&str>, query: Option<&str>| Settings {
        database: database.map(str::to_owned),
        query: query.map(str::to_owned),
        ..settings(None, Some("secret"))
    };
    let end = || packet(5, b"\xfe\0\0\x02\0");
    let row = |text: &[u8]| packet(4, &[&[u8::try_from(text.len()).unwrap()], text].concat());
    let rows =
        [vec![packet(1, b"\x01"), packet(2, b"\x03def"), end()], vec![row(b"1"), row(b""), end()]].concat();
    let long = [rows[..3].to_vec(), vec![packet(4, &[0x61; 40_000]), end()]].concat();
    let missing = refusal(1, 1146, "#42S02Table 'app.jobs' doesn't exist");
    let late = refusal(4, 1317, "#70100Query execution was interrupted");
    let both = fields(Some("app"), Some("select 1"));
    let table: Vec<(Vec<Vec<u8>>, &Settings, Verdict)> = vec![
        ([vec![packet(1, OK)], rows.clone()].concat(), &both, Verdict::Ready),
        ([vec![packet(1, OK)], long].concat(), &both, Verdict::Ready),
        (vec![packet(1, OK), packet(1, OK)], &both, Verdict::Ready),
        (
            vec![refusal(1, 1049, "#42000Unknown database 'app'")],
            &both,
            Verdict::pending("the database \"app\" does not exist yet"),
        ),
        (
            vec![refusal(1, 1044, "#42000Access denied for user 'a'@'%' to database 'app'")],
            &both,
            Verdict::pending(
                "the server refuses the login: Access denied for user 'a'@'%' to database 'app'",
            ),
        ),
        (
            vec![packet(1, OK), missing],
            &both,
            Verdict::pending("the query failed: Table 'app.jobs' doesn't exist"),
        ),
        (
            [vec![packet(1, OK)], rows[..4].to_vec(), vec![late]].concat(),
            &both,
            Verdict::pending("the query failed: Query execution was interrupted"),
        ),
        (
            vec![packet(1, OK), packet(1, b"\xfb/etc/passwd")],
            &both,
            Verdict::failed("the query must not ask for a file, as LOAD DATA LOCAL does"),
        ),
    ];
    for (says, settings, expected) in table {
        let quoted = String::from_utf8_lossy(&says.concat()).into_owned();
        assert_eq!(verdict(session_then(&says), settings), expected, "{quoted}");
    }
    let mut server = Server::new(session_then(&[packet(1, OK), packet(1, OK)]));
    assert_eq!(session::hold(&mut server, &both, "db").ok(), Some(Verdict::Ready));
    let told = [packet(0, b"\x02app"), packet(0, b"\x03select 1"), packet(0, b"\x01")].concat();
    assert!(server.told.ends_with(&told));
    let mut late = Server::ending(session_then(&[packet(1, OK)]), Denial::TimedOut);
    assert_eq!(
        session::hold(&mut late, &both, "db").ok(),
        Some(Verdict::pending("the query did not end in time; `limits.poll` gives it more"))
    );
}

#[test]
fn a_database_that_is_asked_for_is_never_passed_over() {
    let denied = "#28000Access denied for user 'root'@'172.17.0.1'";
    let refused = "the server refuses the login: Access denied for user 'root'@'172.17.0.1'";
    let unknown = packet(2, b"\xfeclient_ed25519\0ABCDEFGHIJKLMNOPQRSTUVWXYZ012345");
    let database = Settings { database: Some("app".to_owned()), ..Settings::default() };
    let says = [greeting(NATIVE), refusal(2, 1045, denied)].concat();
    assert_eq!(verdict(says, &database), Verdict::pending(refused));
    let unproven = Settings { password: Some("secret".to_owned()), ..database };
    let says = [greeting(NATIVE), unknown, refusal(4, 1045, denied)].concat();
    assert!(matches!(verdict(says, &unproven), Verdict::Pending(pending)
        if pending.reason.starts_with(refused) && pending.reason.contains("does not know")));
}

#[test]
fn a_port_that_wants_tls_is_told_so() {
    let alert = [0x15, 3, 1, 0, 2, 2, 80];
    assert_eq!(verdict(alert, &Settings::default()), Verdict::failed(tls::SPEAKS_TLS));
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let rows = [
        (settings(Some(""), Some("")), vec!["user", "password"]),
        (settings(Some("a\0"), Some("x")), vec!["user"]),
        (settings(Some("app"), Some("x")), vec![]),
        (
            Settings { port: Some(0), query: Some(" ".to_owned()), ..Settings::default() },
            vec!["port", "query"],
        ),
        (Settings::default(), vec![]),
    ];
    for (settings, expected) in rows {
        let problems = Mysql::validate(&settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings:?}");
    }
}

/// The greeting of a server that has a certificate.
fn offering_tls(plugin: &str) -> Vec<u8> {
    let mut greeting = greeting(plugin);
    let at = greeting.windows(2).position(|bytes| bytes == b"\xfe\xf7").unwrap();
    greeting[at + 1] = 0xff;
    greeting
}

#[test]
fn tls_begins_between_the_greeting_and_the_login() {
    let secured = Settings { tls: tls::Setting::Verified, ..settings(None, Some("secret")) };
    let insecure = Settings { tls: tls::Setting::Insecure, ..settings(None, Some("secret")) };
    let mut server = Server::new([offering_tls(NATIVE), packet(3, OK)].concat());
    let answer = session::hold(&mut server, &secured, "db.test");
    assert_eq!(answer.ok(), Some(Verdict::Ready));
    // 32 bytes as packet 1, then the handshake, then the login as packet 2.
    assert_eq!(server.told[..4], [32, 0, 0, 1]);
    assert_eq!(&server.told[36..43], b"db.test");
    assert_eq!(server.told[46], 2);
    assert!(server.told[43..].windows(4).any(|bytes| bytes == b"root"));
    let plain = "the port does not speak TLS: the server has no certificate";
    assert!(
        matches!(verdict(greeting(NATIVE), &secured), Verdict::Failed(reason) if reason.starts_with(plain))
    );
    // Only a server that has proven who it is gets the password itself.
    for (settings, gets) in [(&secured, true), (&insecure, false)] {
        let says = [offering_tls(CACHING), packet(3, b"\x01\x04"), packet(5, OK)].concat();
        let mut server = Server::new(says);
        assert_eq!(session::hold(&mut server, settings, "db").ok(), Some(Verdict::Ready));
        assert_eq!(server.told.windows(7).any(|bytes| bytes == b"secret\0"), gets);
    }
}

#[test]
fn a_failed_handshake_of_tls_is_told() {
    let failure = tls::Failure::Expired("the server's certificate has expired".into());
    let request = [&[32, 0, 0, 1, 0x01, 0x8a, 0x08, 0][..], &[0, 0, 0, 1, 33], &[0; 23]].concat();
    let peer = Peer::new().sends(offering_tls(NATIVE)).expects(request).fails_tls(failure);
    let sidecar = Sidecar::new().port(3306).settings(r#"{"tls": true}"#).accepts(3306, peer).tls();
    let Verdict::Failed(reason) = sidecar.check::<Mysql>() else { panic!("a person must act") };
    assert_eq!(reason, "the server's certificate has expired");
    for (settings, fields) in
        [(r#"{"tls": "perhaps"}"#, vec!["tls"]), (r#"{"server_name": "a"}"#, vec!["server_name"])]
    {
        let problems = Sidecar::new().settings(settings).validate::<Mysql>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, fields, "{settings}");
    }
}

#[test]
fn a_server_that_demands_tls_is_told() {
    let demand =
        "#HY000Connections using insecure transport are prohibited while --require_secure_transport=ON.";
    let says = || [greeting(NATIVE), refusal(2, 3159, demand)].concat();
    // It accepts connections. Who may log in is the harness's business.
    assert_eq!(verdict(says(), &Settings::default()), Verdict::Ready);
    let Verdict::Pending(pending) = verdict(says(), &settings(None, Some("secret"))) else {
        panic!("it may change")
    };
    assert!(pending.reason.ends_with("(add `tls = true` to the settings)"), "{}", pending.reason);
}
