//! Whole-output snapshots: exit code, stdout and stderr, without what differs from run to run.

use super::scene::Scene;

/// What differs from run to run, as regular expressions, and what stands for it.
const CHANGING: &[(&str, &str)] = &[
    (r"farrier-fixture:[0-9a-f]{12}\b", "farrier-fixture:[DIGEST]"),
    (r"\b(sha256:)?[0-9a-f]{64}\b", "[ID]"),
    (r"\b[0-9a-f]{12}\b", "[ID]"),
    (r"\b(10|172|192)(\.\d{1,3}){3}\b", "[ADDRESS]"),
    (r"\b\d+\.\d+ ?(µs|ms|s)\b", "[TIME]"),
    (r"\b\d+ ?(µs|ms)\b", "[TIME]"),
];

impl Scene {
    /// The settings under which snapshots of this scene's output are taken.
    pub fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        let root = self.path("").display().to_string();
        let token = self.token();
        for (found, replacement) in [
            (root.trim_end_matches('/'), "[SCENE]"),
            (env!("CARGO_MANIFEST_DIR"), "[CHECKOUT]"),
            (token, "[TOKEN]"),
            (&token.to_uppercase(), "[TOKEN]"),
        ] {
            settings.add_filter(&escaped(found), replacement);
        }
        for (pattern, replacement) in CHANGING {
            settings.add_filter(pattern, *replacement);
        }
        settings
    }
}

/// The regular expression that matches only this text.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| (!character.is_alphanumeric()).then_some('\\').into_iter().chain([character]))
        .collect()
}

/// Compares an `Outcome` (or any text) with an inline snapshot: `assert_output!(scene, outcome, @"…")`.
macro_rules! assert_output {
    ($scene:expr, $outcome:expr, @$snapshot:literal) => {
        $scene.settings().bind(|| insta::assert_snapshot!($outcome.to_string(), @$snapshot))
    };
}
pub(crate) use assert_output;
