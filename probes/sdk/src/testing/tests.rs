use std::net::TcpListener;
use std::thread;
use std::vec;

use super::*;
use crate::{NoSettings, clock, dial, env, exec, health, log, logs, random, state};

/// Dials, writes, and says what it reads up to the end of the line.
fn ask(host: &str) -> Result<Vec<u8>, Denial> {
    let connection = dial::connect(host, 7, None)?;
    connection.send(b"hi\n")?;
    connection.receive_until(b"\r\n", 64)
}

#[test]
fn a_probe_meets_what_the_peer_does() {
    let rows = [
        (Peer::new().expects("hi\n").sends("yes\r\nrest"), Ok(b"yes\r\n".to_vec())),
        (Peer::new().expects("hi\n").sends("yes\r\n").in_pieces(1), Ok(b"yes\r\n".to_vec())),
        (Peer::new().sends("ye").sends("s\r").sends("\n"), Ok(b"yes\r\n".to_vec())),
        (Peer::new().sends("a".repeat(200)), Err(Denial::Limit("the answer is too long".into()))),
        (Peer::new().sends("ye"), Err(Denial::Closed)),
        (Peer::new().stalls(), Err(Denial::TimedOut)),
        (Peer::new().expects("hi\nmore"), Err(Denial::TimedOut)),
        (Peer::new().breaks(Denial::Closed), Err(Denial::Closed)),
        (Peer::refuses(), Err(Denial::Refused)),
        (Peer::denies(Denial::Unresolved), Err(Denial::Unresolved)),
        (
            Peer::new().expects("ho\n"),
            Err(Denial::Other(r#"the script expects "ho\n", the probe sent "hi\n""#.into())),
        ),
        (Peer::answers(|bytes| Some([bytes, b"\r\n"].concat())), Ok(b"hi\n\r\n".to_vec())),
        (Peer::answers(|_| None), Err(Denial::TimedOut)),
    ];
    for (peer, expected) in rows {
        let told = std::format!("{peer:?}");
        let sidecar = Sidecar::new().accepts(7, peer);
        assert_eq!(sidecar.run(|| ask("sidecar")), expected, "{told}");
    }
}

#[test]
fn a_real_server_is_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 3];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.write_all(b"\r\n").unwrap();
    });
    let sidecar = Sidecar::new().accepts_for("db", 7, Peer::real(address));
    assert_eq!(sidecar.run(|| ask("db")), Ok(b"hi\n\r\n".to_vec()));
    assert_eq!(sidecar.sent(), [b"hi\n"]);
    server.join().unwrap();
    assert_eq!(sidecar.run(|| ask("db")), Err(Denial::Refused));
}

#[test]
fn what_was_not_given_is_not_granted() {
    let sidecar = Sidecar::new().accepts(80, Peer::new());
    let words = |denial| match denial {
        Err(Denial::NotGranted(text)) => text,
        other => std::format!("granted: {other:?}"),
    };
    type Row = (&'static str, &'static str, fn() -> Result<(), Denial>);
    let rows: [Row; 7] = [
        ("connecting to sidecar:7", r#"dial = ["self:7"]"#, || ask("sidecar").map(drop)),
        ("connecting to db:7", r#"dial = ["db:7"]"#, || ask("db").map(drop)),
        ("this", r#"exec = [["true"]]"#, || exec::run(&["true"]).map(drop)),
        ("this", "health = true", || health::status().map(drop)),
        ("this", "health = true", || health::run_test().map(drop)),
        ("this", "logs = true", || logs::tail(1).map(drop)),
        ("this", "logs = true", || logs::read(0, 1).map(drop)),
    ];
    for (what, grant, call) in rows {
        let expected =
            std::format!("{what} is not granted: write `grants = {{ {grant} }}` under [readiness]");
        assert_eq!(sidecar.run(|| words(call())), expected);
    }
}

#[test]
fn outside_a_check_nobody_answers() {
    assert!(matches!(ask("sidecar"), Err(Denial::Other(_))));
    assert!(matches!(exec::run(&["true"]), Err(Denial::Other(_))));
    assert_eq!(exec::declared(), None);
    assert!(matches!(health::status(), Err(Denial::Other(_))));
    assert!(matches!(logs::tail(1), Err(Denial::Other(_))));
    log::info("nobody reads this");
}

#[test]
fn commands_health_logs_and_traces_go_through() {
    let output = Output { exit_code: 2, stdout: vec![], stderr: b"no".to_vec(), truncated: false };
    let test = TestResult { exit_code: 1, output: "no".into() };
    let sidecar = Sidecar::new()
        .declares(&["true"])
        .runs(&["pg_isready", "-q"], Ok(output.clone()))
        .health(HealthStatus::Starting, Some(test.clone()))
        .logs(&["one", "two", "three"]);
    sidecar.run(|| {
        log::warn("well");
        assert_eq!(exec::declared(), Some(vec!["true".into()]));
        assert_eq!(exec::run(&["pg_isready", "-q"]), Ok(output));
        assert!(exec::run(&["pg_isready"]).is_err());
        assert_eq!((health::status(), health::run_test()), (Ok(HealthStatus::Starting), Ok(Some(test))));
        assert_eq!(logs::tail(2), Ok(vec!["two".into(), "three".into()]));
        assert_eq!(logs::read(0, 2), Ok(vec!["one".into(), "two".into()]));
        assert_eq!(logs::read(2, 2), Ok(vec!["three".into()]));
        assert_eq!(logs::read(3, 2), Ok(vec![]));
        assert_eq!((state::get(), state::set(b"2")), (vec![], Ok(())));
        assert!(matches!(state::set(&[0; (64 << 10) + 1]), Err(Denial::Limit(_))));
    });
    assert_eq!(sidecar.run(state::get), b"2", "it is there at the next poll");
    assert_eq!(sidecar.executed(), [["pg_isready", "-q"]]);
    assert_eq!(sidecar.trace(), [(Level::Warn, "well".into())]);
}

#[test]
fn a_probe_is_told_what_the_test_says() {
    struct Told;
    impl Probe for Told {
        type Settings = NoSettings;
        fn check(context: &Context, _: NoSettings) -> Verdict {
            Verdict::pending(std::format!(
                "{} {:?} {} {}",
                context.host,
                context.port,
                context.attempt,
                context.settings
            ))
        }
    }
    let sidecar = Sidecar::new().context(|context| context.attempt = 3).port(80).settings("{\"a\": 1}");
    assert_eq!(sidecar.check::<Told>(), Verdict::pending("sidecar Some(80) 3 {\"a\": 1}"));
    assert_eq!(sidecar.validate::<Told>(), Ok(()));
}

#[test]
fn variables_random_numbers_and_the_clock_are_the_tests_own() {
    let second = Duration::from_secs(1);
    let sidecar = || Sidecar::new().env("PGUSER", "me").clock(second * 5, second);
    sidecar().run(|| {
        assert_eq!(env::get("PGUSER"), Ok("me".into()));
        assert!(
            matches!(env::get("PGPASSWORD"), Err(Denial::NotGranted(text)) if text.contains("PGPASSWORD"))
        );
        assert_eq!((clock::now(), clock::now()), (second * 5, second * 6));
        assert!(matches!(random::bytes((64 << 10) + 1), Err(Denial::Limit(_))));
    });
    let numbers = |sidecar: Sidecar| sidecar.run(|| (random::bytes(16), random::bytes(16)));
    let (first, second) = numbers(sidecar());
    assert!(first.is_ok() && first != second);
    assert_eq!(numbers(sidecar()), (first.clone(), second), "each test has the same");
    assert_ne!(numbers(sidecar().seed(1)).0, first);
}
