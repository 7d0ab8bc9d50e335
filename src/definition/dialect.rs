//! Hints speak the language of the file that they are about. They are written with TOML between backticks; for a YAML
//! file its keys and values are written as YAML has them.

use crate::report::error::Problem;

/// The problem with its hints in the language of its file.
#[must_use]
pub fn in_the_files_language(mut problem: Problem) -> Problem {
    let path = problem.place.as_ref().map(|place| place.source.path.as_path());
    let ending = path.and_then(|path| path.extension()).and_then(|ending| ending.to_str());
    if matches!(ending, Some("yaml" | "yml")) {
        for hint in &mut problem.hints {
            *hint = as_yaml(hint);
        }
    }
    problem
}

/// A hint whose TOML between backticks is YAML.
fn as_yaml(hint: &str) -> String {
    // What stands between two backticks has an odd number.
    let parts = hint.split('`').enumerate();
    let parts: Vec<String> = parts
        .map(|(index, part)| match assignment(part).or_else(|| header(part)) {
            Some(yaml) if index % 2 == 1 => yaml,
            _ => part.to_owned(),
        })
        .collect();
    parts.join("`")
}

/// `a.b = value` as `a: { b: value }`.
fn assignment(code: &str) -> Option<String> {
    let (path, value) = code.split_once(" = ")?;
    let names: Vec<&str> = path.split('.').collect();
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if !names.iter().all(is_name) {
        return None;
    }
    let (last, outer) = names.split_last()?;
    let opened: String = outer.iter().map(|name| format!("{name}: {{ ")).collect();
    Some(format!("{opened}{last}: {}{}", flow(value), " }".repeat(outer.len())))
}

/// `[table]` or `[[table]]` as `table:`.
fn header(code: &str) -> Option<String> {
    let name = code.trim_start_matches('[').trim_end_matches(']');
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
    (is_name && code.len() > name.len() + 1 && code.starts_with('[')).then(|| format!("{name}:"))
}

/// A value in YAML's flow style: inline tables have `: ` where TOML has ` = `.
fn flow(value: &str) -> String {
    let mut quoted = false;
    let mut flow = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(character) = rest.chars().next() {
        quoted ^= character == '"';
        if let (false, Some(after)) = (quoted, rest.strip_prefix(" = ")) {
            flow.push_str(": ");
            rest = after;
            continue;
        }
        flow.push(character);
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    flow
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::error::{Code, Place};

    #[test]
    fn toml_in_hints_becomes_yaml() {
        for (toml, yaml) in [
            ("Write `probe = \"tcp\"`.", "Write `probe: \"tcp\"`."),
            ("Write `interface.port = 5432`.", "Write `interface: { port: 5432 }`."),
            ("Write `env = { A = \"b = c\" }`.", "Write `env: { A: \"b = c\" }`."),
            ("Add `grants.exec = [[\"a\", \"-b\"]]`.", "Add `grants: { exec: [[\"a\", \"-b\"]] }`."),
            ("Add `[readiness]` or `[[readiness]]`.", "Add `readiness:` or `readiness:`."),
            ("Write it in brackets: `[\"one\", \"two\"]`.", "Write it in brackets: `[\"one\", \"two\"]`."),
            ("Write `[registry/]name[:tag]`.", "Write `[registry/]name[:tag]`."),
            ("a = b, not code", "a = b, not code"),
            ("Run `chmod o-w a = b`.", "Run `chmod o-w a = b`."),
            ("Did you mean `port`?", "Did you mean `port`?"),
        ] {
            let at = |file: &str| {
                let problem =
                    Problem::error(Code::InvalidValue, "x").at(Place::file(Path::new(file))).hint(toml);
                in_the_files_language(problem).hints.concat()
            };
            assert_eq!(at("db.yaml"), yaml);
            assert_eq!(at("db.yml"), yaml);
            assert_eq!(at("db.toml"), toml);
        }
    }
}
