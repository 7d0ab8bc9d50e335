//! A service's health test as readiness.

use serde_json::{Map, Value as Json};

use super::writing::{string, strings, text, texts};
use crate::definition::duration;
use crate::definition::known_images::KnownImage;

/// How long a wait lasts if nothing longer follows from the test.
const SHORTEST_SECONDS: u64 = 60;

/// The lines of `[readiness]`, and in words what became of the test.
pub fn readiness(
    service: &Map<String, Json>,
    known: Option<&KnownImage>,
    has_port: bool,
) -> (String, String) {
    let test = service.get("healthcheck").and_then(Json::as_object);
    let is_off = test.is_some_and(|test| {
        test.get("disable") == Some(&true.into())
            || test
                .get("test")
                .and_then(texts)
                .is_some_and(|words| words.first().is_some_and(|word| word == "NONE"))
    });
    let timeout = test.map_or(SHORTEST_SECONDS, seconds).max(SHORTEST_SECONDS);
    let mut lines = String::new();
    let told = match (known.filter(|known| has_port && known.probe != "tcp"), test.filter(|_| !is_off)) {
        (Some(known), _) => {
            lines.push_str(&format!("probe = {}\n", string(known.probe)));
            if !known.settings.is_empty() {
                lines.push_str(&format!("settings = {}\n", known.settings));
            }
            format!("readiness.probe = {}", string(known.probe))
        }
        (None, Some(test)) if test.contains_key("test") => {
            let words = command(test.get("test").unwrap_or(&Json::Null));
            lines.push_str(&format!("probe = \"exec\"\ncommand = {}\n", strings(&words)));
            "readiness.command".to_owned()
        }
        (None, Some(_)) => {
            lines.push_str("probe = \"healthcheck\"\n");
            "readiness.probe = \"healthcheck\"".to_owned()
        }
        (None, None) => {
            let probe = if has_port { "tcp" } else { "skip" };
            lines.push_str(&format!("probe = {}\n", string(probe)));
            format!("readiness.probe = {}", string(probe))
        }
    };
    lines.push_str(&format!("timeout = \"{timeout}s\"\n"));
    (lines, told)
}

/// The test's words: `CMD` executes them, everything else is a shell's.
fn command(test: &Json) -> Vec<String> {
    let shell = |script: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.replace("$$", "$")];
    match test {
        Json::Array(items) => {
            let words: Vec<String> = items.iter().filter_map(text).collect();
            match words.split_first() {
                Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
                Some((kind, rest)) if kind == "CMD-SHELL" => shell(rest.join(" ")),
                _ => words,
            }
        }
        single => shell(text(single).unwrap_or_default()),
    }
}

/// How long compose would wait until the test has failed for good.
fn seconds(test: &Map<String, Json>) -> u64 {
    let of = |key: &str, otherwise: u64| {
        let parsed = test.get(key).and_then(text).and_then(|text| duration::parse(&text).ok());
        parsed.map_or(otherwise, |duration| duration.as_secs())
    };
    let retries = test.get("retries").and_then(Json::as_u64).unwrap_or(3);
    of("start_period", 0).saturating_add(of("interval", 30).max(1).saturating_mul(retries)).min(3_600)
}
