//! Whole-output snapshots: exit code, stdout and stderr, without what differs from run to run.

/// What differs from run to run, as regular expressions, and what stands for it. Places and tokens are those of `Scene`.
const CHANGING: &[(&str, &str)] = &[
    // Where this machine's engine is not at the usual place.
    (r"(?m)^engine docker: .*\n", ""),
    (r"(/[\w.-]+)*/farrier-test-\w{6}\b", "[SCENE]"),
    (r"\b[tT][0-9a-fA-F]{12}\b", "[TOKEN]"),
    (r"\[TOKEN\]-[0-9a-f]{8}\b", "[TOKEN]-[SCOPE]"),
    (r"farrier-session-[0-9a-f]{16}\b", "farrier-session-[SESSION]"),
    (r"\bprocess \d+\b", "process [PROCESS]"),
    (r"\bat \d{10}\.\d+", "at [UNIX TIME]"),
    (r"farrier-fixture:[0-9a-f]{12}\b", "farrier-fixture:[DIGEST]"),
    (r"\b(sha256:)?[0-9a-f]{64}\b", "[ID]"),
    (r"\b([0-9a-f]{32}|[0-9a-f]{12})\b", "[ID]"),
    (r"\b127\.0\.0\.1:\d{5}\b", "127.0.0.1:[PORT]"),
    (r"\bports? \[?\d{5}\b\]?", "port [PORT]"),
    (r"\b(10|127\.\d{2,3}|172|192)(\.\d{1,3}){2,3}\b", "[ADDRESS]"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[MOMENT]"),
    (r"\b\d+\.\d+ ?(µs|ms|s)\b", "[TIME]"),
    (r"\b\d+ ?(µs|ms)\b", "[TIME]"),
    (r"\(\d+ polls?\)", "([COUNT] polls)"),
];

/// The settings under which snapshots of farrier's output are taken.
pub fn snapshot_settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&escaped(env!("CARGO_MANIFEST_DIR")), "[CHECKOUT]");
    for (pattern, replacement) in CHANGING {
        settings.add_filter(pattern, *replacement);
    }
    settings
}

/// The regular expression that matches only this text.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| (!character.is_alphanumeric()).then_some('\\').into_iter().chain([character]))
        .collect()
}

/// Compares an `Outcome` (or any text) with an inline snapshot: `assert_output!(outcome, @"…")`.
macro_rules! assert_output {
    ($outcome:expr, @$snapshot:literal) => {
        $crate::support::snapshot::snapshot_settings()
            .bind(|| insta::assert_snapshot!($outcome.to_string(), @$snapshot))
    };
}
pub(crate) use assert_output;
