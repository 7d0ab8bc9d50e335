//! Files of definitions, and the small grammars in them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::model::{Definition, Layer};
use super::node::{MAX_DEPTH, Node, Value};
use super::{
    check_image, container_token, duration, familiar_image, layers, qualified_image, read, refusals, size,
    toml, variable_token, yaml,
};
use crate::approval::fuzzing::assert_asked;
use crate::fuzzing::{assert_shown, assert_told};
use crate::plan::sidecar::{Scopes, Sidecar};
use crate::report::elapsed::limit;
use crate::report::error::{Problem, Source};

/// The levels that the parser of TOML lets nest.
const TOML_DEPTH: usize = 128;

/// Problems of a file that are told: telling them takes longer than finding them.
const MOST_TOLD: usize = 4;

/// A definition that was read from this text, under this name.
pub(crate) fn definition(name: &str, text: &str) -> Option<Definition> {
    let source = Arc::new(Source { path: Path::new("db.toml").to_owned(), text: text.to_owned() });
    let definition = layers::of_source(&source, Layer::User).definitions.into_iter().next()?;
    Some(Definition { name: name.to_owned(), ..definition })
}

/// A file of TOML.
pub fn definitions_toml(data: &[u8]) {
    definitions(data, Path::new("db.toml"));
}

/// A file of YAML.
pub fn definitions_yaml(data: &[u8]) {
    definitions(data, Path::new("db.yaml"));
}

/// Any file is read to a definition or to problems that say where and what to do.
fn definitions(data: &[u8], path: &Path) {
    let is_toml = path.ends_with("db.toml");
    let source = match read::text(path, data.to_vec()) {
        Ok(source) => source,
        Err(problem) => return assert_told(&problem),
    };
    let parsed = if is_toml { toml::parse(&source.text).ok() } else { yaml::parse(&source.text).ok() };
    if let Some(root) = &parsed {
        assert_within(root, &source);
        assert!(root.height() <= if is_toml { TOML_DEPTH } else { MAX_DEPTH + 1 });
    }
    let mut told: Vec<Problem> = Vec::new();
    for layer in [Layer::User, Layer::Workspace] {
        let loaded = layers::of_source(&source, layer);
        for problem in loaded.problems.iter().take(MOST_TOLD) {
            if !told.contains(problem) {
                assert_told(problem);
                told.push(problem.clone());
            }
        }
        let is_broken = loaded.problems.iter().any(Problem::is_error);
        assert!(parsed.is_some() || is_broken, "what cannot be parsed is an error");
        let Some(definition) = loaded.definitions.into_iter().next() else { continue };
        refusals(std::slice::from_ref(&definition)).iter().for_each(assert_told);
        assert_usable(&definition);
        assert_asked(definition);
    }
}

/// Every key and value stands where its span says.
fn assert_within(node: &Node, source: &Arc<Source>) {
    assert!(source.text.get(node.span.clone()).is_some(), "{node:?}");
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| assert_within(item, source)),
        Value::Table(entries) => {
            for entry in entries {
                assert!(source.text.get(entry.key_span.clone()).is_some(), "{entry:?}");
                assert_within(&entry.value, source);
            }
        }
    }
}

/// What is accepted is something that an engine can be asked for.
fn assert_usable(definition: &Definition) {
    if definition.secrets.is_empty() {
        assert!(definition.image.iter().all(|image| check_image(image) == Ok(())));
        assert_eq!(definition.image.is_some(), definition.container.program.is_none());
    }
    assert!(definition.container.env.keys().all(|name| !name.is_empty() && !name.contains(['=', '\0'])));
    assert!(definition.container.env.values().all(|value| !value.contains('\0')));
    assert_eq!(definition.readiness.is_empty(), definition.job().is_some());
    assert!(!definition.job_timeout.is_zero());
    for readiness in &definition.readiness {
        assert!(!readiness.timeout.is_zero() && readiness.timeout <= readiness.max_timeout);
        assert!(!readiness.limits.poll.is_zero() && readiness.limits.memory > 0);
    }
    let scopes = Scopes { org: None, workspace: Some("/w".into()), ..Scopes::default() };
    let sidecar = Sidecar::new(definition.clone(), &scopes);
    assert_eq!(sidecar.hash, Sidecar::new(definition.clone(), &scopes).hash);
    assert!(is_container_name(&sidecar.container), "{}", sidecar.container);
}

fn is_container_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Durations, amounts of memory, and what names become elsewhere.
pub fn quantities(data: &[u8]) {
    if let Some((seconds, rest)) = data.split_first_chunk() {
        let seconds = f64::from_le_bytes(*seconds);
        assert_duration(duration::parse_seconds(seconds), &seconds.to_string());
        texts(&String::from_utf8_lossy(rest));
    }
    texts(&String::from_utf8_lossy(data));
}

fn texts(text: &str) {
    assert_duration(duration::parse(text), text);
    match size::parse(text) {
        Ok(bytes) => {
            assert!(i64::try_from(bytes).is_ok(), "{text:?} is {bytes}");
            assert_eq!(size::parse(&bytes.to_string()), Ok(bytes));
        }
        Err(reason) => assert_shown(&reason),
    }
    let container = container_token(text);
    assert!(container.is_empty() || is_container_name(&format!("farrier-{container}")), "{container}");
    assert_eq!(container_token(&container), container);
    let variable = variable_token(text);
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    assert!(variable.bytes().all(is_plain), "{variable}");
    assert_eq!(variable_token(&variable), variable);
}

/// Within a day, and the same when it is written and read again.
fn assert_duration(parsed: Result<Duration, String>, text: &str) {
    match parsed {
        Ok(found) => {
            assert!(!found.is_zero() && found <= Duration::from_hours(24), "{text:?} is {found:?}");
            let whole = humantime::format_duration(found).to_string();
            assert_eq!(duration::parse(&whole), Ok(found), "{text:?} as {whole:?}");
            assert_shown(&limit(found));
        }
        Err(reason) => assert_shown(&reason),
    }
}

/// References of images.
pub fn image_references(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(reason) = check_image(&text) {
        return assert_shown(&reason);
    }
    let whole = qualified_image(&text);
    assert_eq!(qualified_image(&whole), whole, "{text:?} is whole once it is completed");
    assert_eq!(qualified_image(&familiar_image(&text)), whole, "{text:?} and its short form name one image");
    let is_id = whole.rsplit(':').next().is_some_and(|hex| hex.len() == 64) && !whole.contains(['/', '@']);
    assert!(is_id || check_image(&whole).is_ok(), "{text:?} became {whole:?}");
}
