//! Conversations with servers in memory, as captured and as malformed.

use std::collections::VecDeque;

use super::*;

/// Says this, whatever it is told, and keeps what it was told.
struct Server {
    says: VecDeque<u8>,
    /// How the connection ends.
    then: Option<Denial>,
    told: Vec<u8>,
}

impl Server {
    fn new(says: impl Into<Vec<u8>>) -> Self {
        Self { says: says.into().into(), then: None, told: Vec::new() }
    }

    fn ending(says: impl Into<Vec<u8>>, then: Denial) -> Self {
        Self { then: Some(then), ..Self::new(says) }
    }
}

impl Stream for Server {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        // Few bytes at a time, as a network may.
        let count = self.says.len().min(max as usize).min(1);
        match &self.then {
            Some(denial) if count == 0 => Err(denial.clone()),
            _ => Ok(self.says.drain(..count).collect()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.told.extend_from_slice(bytes);
        Ok(())
    }
}

const LOADING: &str = "LOADING Redis is loading the dataset in memory";
const PROTECTED: &str = "DENIED Redis is running in protected mode because protected mode is enabled";

#[test]
fn each_reply_to_ping_has_its_verdict() {
    let rows: &[(&str, Verdict)] = &[
        ("+PONG\r\n", Verdict::Ready),
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
            Verdict::failed(format!("Redis refuses: {PROTECTED}")),
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
        assert_eq!(ask(&mut server, &Settings::default()), *expected, "{says}");
        assert_eq!(server.told, b"*1\r\n$4\r\nPING\r\n");
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
        assert_eq!(ask(&mut server, &Settings::default()), Verdict::pending(expected));
    }
}

#[test]
fn an_endless_reply_is_cut() {
    let mut server = Server::new(vec![b'-'; 1 << 20]);
    assert!(matches!(ask(&mut server, &Settings::default()), Verdict::Failed(_)));
    assert!(server.says.len() > 1 << 19);
}

#[test]
fn a_password_is_sent_first() {
    let told = "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\ns\u{e9}cre\r\n*1\r\n$4\r\nPING\r\n";
    let mut server = Server::new("+OK\r\n+PONG\r\n");
    let settings = Settings { username: Some("app".into()), password: Some("s\u{e9}cre".into()) };
    assert_eq!(ask(&mut server, &settings), Verdict::Ready);
    assert_eq!(String::from_utf8_lossy(&server.told), told);
}

#[test]
fn each_reply_to_auth_has_its_verdict() {
    let wrong = "Redis refuses the password: correct `settings.password` or `settings.username`: ";
    let rows = [
        (
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
            Verdict::failed(format!("{wrong}WRONGPASS invalid username-password pair or user is disabled.")),
        ),
        ("-ERR invalid password\r\n", Verdict::failed(format!("{wrong}ERR invalid password"))),
        (
            "-ERR Client sent AUTH, but no password is set\r\n",
            Verdict::failed("Redis refuses: ERR Client sent AUTH, but no password is set"),
        ),
        ("-LOADING Redis is loading the dataset in memory\r\n", Verdict::pending(LOADING)),
    ];
    for (says, expected) in rows {
        let settings = Settings { username: None, password: Some("x".into()) };
        assert_eq!(ask(&mut Server::new(says), &settings), expected);
    }
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let some = |text: &str| Some(text.to_owned());
    let rows = [
        (Settings { username: some("app"), password: None }, vec!["username"]),
        (Settings { username: some(""), password: some("") }, vec!["username", "password"]),
        (Settings { username: None, password: some("x") }, vec![]),
        (Settings::default(), vec![]),
    ];
    for (settings, expected) in rows {
        let problems = Redis::validate(&settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings:?}");
    }
}
