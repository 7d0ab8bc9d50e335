//! What a scenario says, and each mistake with its place and its next step.

#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use super::*;
use crate::report::error::{Code, Problem};

fn written(text: &str) -> Result<Written, Vec<Problem>> {
    parse(&Arc::new(Source { path: "it.toml".into(), text: text.to_owned() }))
}

const WHOLE: &str = r#"
description = "all there is"
sidecar = "db"
port = 5432
env = { PGUSER = "me" }
seed = 7
date = 2026-02-03T04:05:06Z

[readiness]
settings = { user = "me", list = [1, 2.5] }
command = ["pg_isready", "-q"]
grants = { dial = ["self", "cache:6379"], tls = true, exec = [["pg_isready", "-q"]], env = ["PGUSER"] }
timeout = "1m"
successes = 2
interval = "1s"
limits = { poll = "1s" }

[[poll]]
at = "0s"
times = 3
every = "500ms"
health = "starting"
health_test = { exit_code = 1, output = { hex = "00 ff" }, takes = "1s" }
log = ["one", ""]
expect = "pending"
reason = "loading"
retry_after = "1s"
extend = "2m"
took = "1s"

[[poll.dial]]
takes = "5ms"
steps = [
  { expects = "a\r\n" },
  { expects = { any = 4 } },
  { sends = { base64 = "AAE=" } },
  { waits = "1s" },
  { shakes_hands = true, server_name = "db", protocols = ["h2"], protocol = "h2" },
  { stalls = true },
]

[[poll.dial]]
to = "cache:6379"
steps = [{ fails_tls = "expired", reason = "long ago" }, { breaks = true }]

[[poll.dial]]
result = "no route to host"

[[poll.exec]]
argv = ["pg_isready", "-q"]
exit_code = 2
stderr = "no"
takes = "2s"

[[poll.exec]]
argv = ["pg_isready", "-q"]
fails = "it is not in the image"

[[poll]]
expect = "crashed"
"#;

#[test]
fn a_scenario_says_all_of_this() {
    let scenario = written(WHOLE).map_err(|problems| panic!("{problems:?}")).expect("a scenario").scenario;
    assert_eq!((scenario.sidecar.as_str(), scenario.port, scenario.seed), ("db", Some(5432), 7));
    assert_eq!(scenario.date, Duration::from_secs(1_770_091_506));
    assert_eq!(scenario.readiness.timeout, Duration::from_secs(60));
    assert_eq!(scenario.readiness.grants.exec, [["pg_isready", "-q"]]);
    let [first, second] = scenario.polls.as_slice() else { panic!("two polls") };
    assert_eq!((first.times, first.every), (3, Some(Duration::from_millis(500))));
    assert_eq!(second.expected, Expected::Crashed(None));
    let [dial, other, failed] = first.dials.as_slice() else { panic!("three dials") };
    assert_eq!(dial.to, DialGrant::This(None));
    let Outcome::Connected(steps) = &dial.outcome else { panic!("a connection") };
    assert_eq!(steps[1..3], [Step::Expects(Pattern::Any(4)), Step::Sends(vec![0, 1])]);
    assert_eq!(
        other.outcome,
        Outcome::Connected(vec![Step::FailsTls(TlsFailure::Expired, "long ago".to_owned()), Step::Breaks])
    );
    assert_eq!(failed.outcome, Outcome::Fails("no route to host".to_owned()));
    assert_eq!(first.health_test.as_ref().map(|test| test.output.as_slice()), Some(&[0, 0xff][..]));
    assert_eq!(first.commands[1].end, CommandEnd::CannotRun("it is not in the image".to_owned()));
}

#[test]
fn every_mistake_has_a_place_and_a_next_step() {
    use Code::{ConflictingFields, DefinitionSyntax, InvalidValue, MissingField, UnknownKey};
    let poll = "[[poll]]\nexpect = 'ready'\n";
    for (text, code, line, column, words) in [
        ("pol = 1\n[[poll]]\nexpect = 'ready'", UnknownKey, 1, 1, "Did you mean `poll`?"),
        ("[[poll]]\nexpct = 'ready'", UnknownKey, 2, 1, "Did you mean `expect`?"),
        ("port = 1", MissingField, 1, 1, "`poll` is missing"),
        ("poll = []", MissingField, 1, 8, "`poll` is missing"),
        ("[[poll]]\n", MissingField, 1, 1, "`poll[0].expect` is missing"),
        ("[[poll]]\nexpect = 'redy'", InvalidValue, 2, 10, "must be a verdict"),
        ("[[poll]]\nexpect = 'ready'\nreason = 'x'", ConflictingFields, 3, 1, "no effect beside"),
        ("[[poll]]\nexpect = 'ready'\nevery = '1s'", ConflictingFields, 3, 1, "without `times`"),
        ("[[poll]]\nexpect = 'ready'\ntimes = 0", InvalidValue, 3, 9, "from 1 to 10000"),
        ("[[poll]]\nexpect = 'ready'\nhealth = 'well'", InvalidValue, 3, 10, "a health status"),
        ("[[poll]]\nexpect = 'ready'\nat = 'soon'", InvalidValue, 3, 6, "not a duration"),
        ("[[poll]]\nexpect = 'ready'\n[[poll.dial]]\n", MissingField, 3, 1, "poll[0].dial[0].to"),
        (
            "port = 1\n[[poll]]\nexpect = 'ready'\n[[poll.dial]]\nsteps = [{ sends = 'x', stalls = true }]",
            InvalidValue,
            5,
            10,
            "must say one thing that happens",
        ),
        (
            "port = 1\n[[poll]]\nexpect = 'ready'\n[[poll.dial]]\nsteps = [{ sends = { hex = '0' } }]",
            InvalidValue,
            5,
            28,
            "pairs of hexadecimal digits",
        ),
        (
            "port = 1\n[[poll]]\nexpect = 'ready'\n[[poll.dial]]\nsteps = [{ fails_tls = 'old' }]",
            InvalidValue,
            5,
            24,
            "a failure of TLS",
        ),
        (
            "port = 1\n[[poll]]\nexpect = 'ready'\n[[poll.dial]]\nresult = 'refused'\nsteps = []",
            ConflictingFields,
            6,
            1,
            "no effect",
        ),
        ("[[poll]]\nexpect = 'ready'\n[[poll.exec]]\nargv = []", InvalidValue, 4, 8, "names no program"),
        (&format!("{poll}[readiness]\nprobe = 'tcp'"), UnknownKey, 4, 1, "`readiness.probe` is not a key"),
        (&format!("{poll}[readiness]\ngrants = {{ dail = [] }}"), UnknownKey, 4, 12, "Did you mean `dial`?"),
        (
            &format!("{poll}[readiness]\ngrants = {{ dirs = [{{ host = 'a', guest = '/a' }}] }}"),
            InvalidValue,
            4,
            1,
            "not supported in a scenario",
        ),
        ("date = 'today'\n[[poll]]\nexpect = 'ready'", InvalidValue, 1, 8, "a moment from 1970 to 9999"),
        ("sidecar = 'a b'\n[[poll]]\nexpect = 'ready'", InvalidValue, 1, 11, "the name of a sidecar"),
        ("seed = -1\n[[poll]]\nexpect = 'ready'", InvalidValue, 1, 8, "a whole number"),
        ("[[poll]\n", DefinitionSyntax, 1, 8, "not valid TOML"),
    ] {
        let problems = written(text).err().unwrap_or_default();
        let Some(problem) = problems.iter().find(|problem| problem.code == code) else {
            panic!("{text}: {problems:#?}")
        };
        let place = problem.place.as_ref().and_then(Place::line_column);
        assert_eq!(place, Some((line, column)), "{text}: {problem:#?}");
        assert!(!problem.hints.is_empty(), "{text}: {problem:#?}");
        let told = format!("{} {}", problem.message, problem.hints.join(" "));
        assert!(told.contains(words), "{text}: {told}");
    }
}

#[test]
fn a_hostile_file_costs_little() {
    let begin = |count: usize| "[[poll]]\nexpect = 'ready'\n".repeat(count);
    let many = begin(usize::try_from(MOST_POLLS).expect("a small number") + 1);
    let told = written(&many).err().unwrap_or_default();
    assert!(told[0].message.contains("the scenario has 10001 polls, and may have 10000"), "{told:?}");
    let product = "[[poll]]\nexpect = 'ready'\ntimes = 10000\n".repeat(2);
    assert!(written(&product).is_err());
    assert!(written(&format!("seed = {}1{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
    let keys: String = (0..50_000).map(|number| format!("x{number} = 1\n")).collect();
    let told = written(&keys).err().unwrap_or_default();
    assert!(told.len() <= 101, "{} problems", told.len());
}
