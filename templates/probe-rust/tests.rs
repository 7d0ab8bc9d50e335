//! Runs the probe as an ordinary program against a simulated sidecar, without a container or WebAssembly.

use farrier_probe::testing::{Peer, Sidecar};

use super::*;

const SETTINGS: &str = r#"{ "send": "HELO\r\n", "expect": "ready" }"#;

/// Polls a sidecar once, with this peer at port 8080.
fn check(peer: Peer) -> Verdict {
    Sidecar::new().port(8080).settings(SETTINGS).accepts(8080, peer).check::<Hello>()
}

#[test]
fn it_is_ready_only_after_the_expected_answer() {
    let greeted = || Peer::new().expects("HELO\r\n");
    let rows = [
        ("in pieces", greeted().sends("220 rea").sends("dy\r\n"), Verdict::Ready),
        (
            "another answer",
            greeted().sends("503 starting\r\n"),
            Verdict::pending("the answer ends with: 503 starting"),
        ),
        ("nobody listens", Peer::refuses(), Verdict::pending("connection refused")),
    ];
    for (name, peer, expected) in rows {
        assert_eq!(check(peer), expected, "{name}");
    }
}

#[test]
fn a_mistake_in_the_settings_is_reported_with_its_path() {
    let problems = Sidecar::new().settings(r#"{ "expect": 220 }"#).validate::<Hello>().unwrap_err();
    assert_eq!(problems[0].path, "expect");
}
