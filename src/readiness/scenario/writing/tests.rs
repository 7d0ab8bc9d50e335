//! Whatever is written reads as it was.

#![allow(clippy::expect_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::definition::scenario::{Health, TlsFailure, parse};
use crate::report::error::Source;

fn read(text: &str) -> Scenario {
    let source = Arc::new(Source { path: "it.toml".into(), text: text.to_owned() });
    parse(&source).map_err(|problems| format!("{problems:#?}\n{text}")).expect("it is a scenario").scenario
}

fn empty() -> Scenario {
    read("port = 80\n[[poll]]\nexpect = 'ready'")
}

fn time() -> impl Strategy<Value = Duration> {
    (1_u64..86_400_000).prop_map(Duration::from_millis)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), ".{0,20}".prop_map(String::into_bytes)]
}

fn name() -> impl Strategy<Value = String> {
    ".{1,12}"
}

fn one_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        bytes().prop_map(|bytes| Step::Expects(Pattern::Bytes(bytes))),
        (1_u32..1000).prop_map(|count| Step::Expects(Pattern::Any(count))),
        bytes().prop_map(Step::Sends),
        time().prop_map(Step::Waits),
        Just(Step::Stalls),
        Just(Step::Breaks),
        (proptest::option::of(name()), proptest::option::of(proptest::collection::vec(name(), 0..3)))
            .prop_map(|(server_name, protocols)| Step::ShakesHands {
                protocol: server_name.clone(),
                server_name,
                protocols
            }),
        ".{0,20}".prop_map(|reason| Step::FailsTls(TlsFailure::WrongName, reason)),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        proptest::collection::vec(one_step(), 0..6).prop_map(Outcome::Connected),
        Just(Outcome::Refused),
        Just(Outcome::TimedOut),
        Just(Outcome::Unresolved),
        "no .{0,20}".prop_map(Outcome::Fails),
    ]
}

fn one_dial() -> impl Strategy<Value = Dial> {
    let to = prop_oneof![
        Just(DialGrant::This(None)),
        (1_u16..).prop_map(|port| DialGrant::This(Some(port))),
        (1_u16..).prop_map(|port| DialGrant::Sidecar { name: "cache".to_owned(), port }),
    ];
    (to, prop_oneof![Just(Duration::ZERO), time()], outcome()).prop_map(|(to, takes, outcome)| Dial {
        to,
        takes,
        outcome,
    })
}

fn one_command() -> impl Strategy<Value = Command> {
    let end = prop_oneof![
        (any::<u8>(), bytes(), bytes()).prop_map(|(exit_code, stdout, stderr)| CommandEnd::Exits {
            exit_code,
            stdout,
            stderr
        }),
        name().prop_map(CommandEnd::CannotRun),
    ];
    (proptest::collection::vec(name(), 1..4), prop_oneof![Just(Duration::ZERO), time()], end)
        .prop_map(|(argv, takes, end)| Command { argv, takes, end })
}

fn one_poll() -> impl Strategy<Value = Poll> {
    let expected = prop_oneof![
        Just(Expected::Ready),
        Just(Expected::TimedOut),
        (proptest::option::of(".{0,20}"), proptest::option::of(time()), proptest::option::of(time()))
            .prop_map(|(reason, retry_after, extend)| Expected::Pending { reason, retry_after, extend }),
        proptest::option::of(".{0,20}").prop_map(Expected::Failed),
        proptest::option::of(".{0,20}").prop_map(Expected::Crashed),
    ];
    let test = (any::<u8>(), bytes(), time()).prop_map(|(exit_code, output, takes)| HealthTest {
        exit_code,
        output,
        takes,
    });
    let health =
        proptest::sample::select(vec![Health::None, Health::Starting, Health::Healthy, Health::Unhealthy]);
    (
        (proptest::option::of(time()), 2_u32..50, proptest::option::of(time()), proptest::option::of(health)),
        proptest::option::of(test),
        proptest::collection::vec(".{0,20}", 0..3),
        proptest::collection::vec(one_dial(), 0..3),
        proptest::collection::vec(one_command(), 0..3),
        (expected, proptest::option::of(time())),
    )
        .prop_map(|((at, times, every, health), health_test, log, dials, commands, (expected, took))| {
            Poll { at, times, every, health, health_test, log, dials, commands, expected, took }
        })
}

proptest! {
    #[test]
    fn a_scenario_reads_as_it_was_written(
        polls in proptest::collection::vec(one_poll(), 1..4),
        description in proptest::option::of(name()),
        seed in 0..i64::MAX as u64,
        text in ".{0,20}",
    ) {
        let mut scenario = Scenario { description, seed, polls, ..empty() };
        scenario.env.insert(text.clone(), text.clone());
        scenario.readiness.settings.insert(text.clone(), serde_json::json!([text, 1, true, { "a": 0.5 }]));
        let written = write(&scenario, "head\nof two lines").expect("it is short");
        prop_assert_eq!(read(&written), scenario, "{}", written);
    }
}

#[test]
fn people_can_read_it() {
    let mut scenario = empty();
    scenario.polls[0].dials.push(Dial {
        to: DialGrant::This(None),
        takes: Duration::ZERO,
        outcome: Outcome::Connected(vec![
            Step::Expects(Pattern::Bytes(b"PING\r\n".to_vec())),
            Step::Sends(vec![0xff, 0, 1, 2, 3]),
            Step::Stalls,
        ]),
    });
    insta::assert_snapshot!(write(&scenario, "Recorded.").expect("it is short"), @r#"
    # Recorded.
    sidecar = "sidecar"
    port = 80

    [readiness]
    timeout = "30s"

    [[poll]]
    expect = "ready"

    [[poll.dial]]
    steps = [
      { expects = "PING\r\n" },
      { sends = { hex = "ff000102 03" } },
      { stalls = true },
    ]
    "#);
}
