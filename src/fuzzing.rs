//! What is fuzzed. Each target takes any bytes and panics where a promise is broken; its file stands beside the code
//! that it is about. `fuzz/` runs the targets on bytes that libFuzzer makes up, the test below on those that are
//! committed. No part of the program.

#[cfg(test)]
mod corpora;

pub use crate::approval::fuzzing::approval_store;
pub use crate::cli::fuzzing::rendered_text;
pub use crate::definition::fuzzing::{definitions_toml, definitions_yaml, image_references, quantities};
pub use crate::engine::docker::client::fuzzing::engine_answers;
pub use crate::engine::docker::relay::fuzzing::relay_frames;
pub use crate::harness::fuzzing::harness_argv;
pub use crate::preparation::policy::fuzzing::policies;
pub use crate::probe::fuzzing::{component_bytes, settings_schemas};
pub use crate::readiness::fuzzing::scenarios;

use crate::event::problem_json;
use crate::report::error::Problem;
use crate::report::escape::escape_json;
use crate::report::snippet::render;

/// A target: what it does with bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their programs and corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("approval_store", approval_store),
    ("component_bytes", component_bytes),
    ("definitions_toml", definitions_toml),
    ("definitions_yaml", definitions_yaml),
    ("engine_answers", engine_answers),
    ("harness_argv", harness_argv),
    ("image_references", image_references),
    ("policies", policies),
    ("quantities", quantities),
    ("relay_frames", relay_frames),
    ("rendered_text", rendered_text),
    ("scenarios", scenarios),
    ("settings_schemas", settings_schemas),
];

/// Whether a terminal acts on a character, hides it or reorders others by it. A list of its own, so that a gap in the
/// one that escapes is found.
pub(crate) fn is_raw(character: char) -> bool {
    if matches!(character, ' '..='~' | '\n') {
        return false;
    }
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        || character.is_control()
}

/// A terminal shows every character of the text as what it is.
pub(crate) fn assert_shown(text: &str) {
    assert!(!text.chars().any(is_raw), "a terminal would act on {text:?}");
}

/// The same for text with colours of ours.
pub(crate) fn assert_shown_in_color(text: &str) {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let plain = parts.fold(first, |plain, part| {
        let end = part.find('m').unwrap_or(0);
        let codes = part.get(1..end).filter(|_| part.starts_with('[')).unwrap_or("?");
        assert!(codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{text:?}");
        plain + part.get(end + 1..).unwrap_or_default()
    });
    assert_shown(&plain);
}

/// JSON as it is written is shown as it is, stands on one line, and gives back what was meant.
pub(crate) fn assert_json(value: &serde_json::Value) {
    let written = escape_json(&value.to_string());
    assert_json_line(&written);
    let read: Option<serde_json::Value> = serde_json::from_str(&written).ok();
    assert_eq!(read.as_ref(), Some(value), "{written}");
}

/// One line of JSON.
pub(crate) fn assert_json_line(line: &str) {
    assert_shown(line);
    assert!(!line.contains('\n'), "more than one line: {line:?}");
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line:?}");
}

/// A problem is told in all forms, and leads somewhere.
pub(crate) fn assert_told(problem: &Problem) {
    let is_odd = |text: &str| text.contains(|character| character == '\n' || is_raw(character));
    let source = problem.place.as_ref().map(|place| &place.source);
    let path = source.map(|source| source.path.display().to_string()).unwrap_or_default();
    let texts =
        problem.hints.iter().chain([&problem.message, &path]).chain(source.map(|source| &source.text));
    let is_odd = texts.map(String::as_str).any(is_odd);
    // Rendering is slow, and what holds nothing odd is shown as it is; places are laid out in any case.
    if is_odd || source.is_some_and(|source| !source.text.is_empty()) {
        assert_shown(&render(problem, false, 110));
    }
    if is_odd {
        assert_shown_in_color(&render(problem, true, 60));
        assert_json(&problem_json(problem));
    }
    assert!(!problem.message.is_empty() && !problem.hints.is_empty(), "no way out: {problem:?}");
    if let Some(place) = &problem.place {
        let text = &place.source.text;
        assert!(text.get(place.span.clone()).is_some(), "{:?} is no place in {text:?}", place.span);
    }
}
