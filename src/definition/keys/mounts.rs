//! Mounts: `<word>[:/target][:ro|:rw]`.

use schemars::{Schema, SchemaGenerator};

use super::ContainerKeys;
use super::kind::{Kind, ValueText, json};
use crate::definition::model::Mount;
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{listed, quoted};

/// Where the engine's socket is mounted.
const SOCKET: &str = "/var/run/docker.sock";
/// Where a tmux socket's folder would be mounted.
const TMUX: &str = "/run/swarmforge-tmux";
const GRAMMAR: &str = "Write `docker-socket[:ro|:rw]`, the only supported mount; copy files that the sidecar needs into \
                       an image of your own.";

/// One mount with its normalised target.
struct Parsed {
    word: String,
    /// None for what is understood but not offered.
    mount: Option<Mount>,
    target: String,
}

/// What is mounted. Targets may neither be equal nor lie within one another.
pub struct Mounts;

impl Kind for Mounts {
    type Value = Vec<Mount>;

    /// Each word is recorded as `mounts[1].volume` among the places: refusals find there what has no model.
    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        // The long form of compose.
        if let Value::List(items) = &node.value
            && let Some((index, item)) =
                items.iter().enumerate().find(|(_, item)| matches!(item.value, Value::Table(_)))
        {
            reader.wrong(&format!("{path}[{index}]"), "a string", item, GRAMMAR);
            return Vec::new();
        }
        let Some(texts) = reader.strings(node, path) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            return Vec::new();
        };
        let mut taken: Vec<String> = Vec::new();
        let mut mounts = Vec::new();
        for (index, (text, item)) in texts.iter().zip(items).enumerate() {
            let parsed = parse(text).and_then(|parsed| {
                match taken.iter().find(|other| overlap(other, &parsed.target)) {
                    Some(other) => {
                        Err(format!("its target {} overlaps another mount's, {other}", parsed.target))
                    }
                    None => Ok(parsed),
                }
            });
            match parsed {
                Ok(parsed) => {
                    reader.note_place(format!("{path}[{index}].{}", parsed.word), &item.span);
                    taken.push(parsed.target);
                    mounts.extend(parsed.mount);
                }
                Err(reason) => {
                    let message = format!("`{path}[{index}]` is \"{text}\": {reason}");
                    reader.report(Problem::error(Code::InvalidValue, message).hint(GRAMMAR), &item.span);
                }
            }
        }
        mounts
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    fn canonical(value: &Self::Value) -> String {
        json(&value.iter().map(|mount| format!("{mount:?}")).collect::<Vec<_>>())
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        ValueText::line(label, listed(&value.iter().map(in_words).collect::<Vec<_>>()))
    }
}

fn in_words(mount: &Mount) -> String {
    let mode = |writable: bool| if writable { "writable" } else { "read-only" };
    match mount {
        Mount::DockerSocket { writable } => {
            let all_the_same = if *writable { "" } else { " all the same" };
            let mode = mode(*writable);
            format!("the engine's socket, {mode}: whoever can use it controls this machine{all_the_same}")
        }
        Mount::Workspace { target, writable } => {
            format!("the workspace at {}, {}", quoted(target), mode(*writable))
        }
    }
}

fn parse(text: &str) -> Result<Parsed, String> {
    let mut fields = text.split(':');
    let word = fields.next().unwrap_or(text);
    let mut fields: Vec<&str> = fields.collect();
    let volume = match word {
        "workspace" | "docker-socket" | "tmux-socket" => None,
        "volume" if fields.is_empty() => return Err("a volume needs a name".to_owned()),
        "volume" => Some(fields.remove(0)),
        _ => return Err(format!("`{word}` cannot be mounted")),
    };
    let mode = fields.pop_if(|last| matches!(*last, "ro" | "rw"));
    if fields.iter().any(|field| matches!(*field, "ro" | "rw")) {
        return Err("the mode must come last".to_owned());
    }
    if let Some(odd) = fields.iter().find(|field| !field.starts_with('/')) {
        return Err(format!("`{odd}` is neither an absolute path nor `ro` or `rw`"));
    }
    if fields.len() > 1 {
        return Err("it has two targets".to_owned());
    }
    let target = fields.first().map(|target| normalised(target)).transpose()?;
    let writable = mode != Some("ro");
    let of = |mount, target| Ok(Parsed { word: word.to_owned(), mount, target });
    match (word, target) {
        ("docker-socket" | "tmux-socket", Some(_)) => Err(format!("`{word}` takes no target")),
        ("docker-socket", None) => of(Some(Mount::DockerSocket { writable }), SOCKET.to_owned()),
        ("tmux-socket", None) if mode == Some("rw") => Err("a tmux socket is always read-only".to_owned()),
        ("tmux-socket", None) => of(None, TMUX.to_owned()),
        ("volume", None) => Err("a volume needs a target".to_owned()),
        ("volume", Some(_)) if !is_volume_name(volume.unwrap_or_default()) => {
            Err("a volume's name is 1 to 64 letters, digits, `.` and `-`, and begins with a letter or digit"
                .to_owned())
        }
        ("volume", Some(target)) => of(None, target),
        (_, target) => {
            let target = target.unwrap_or_else(|| "/workspace".to_owned());
            of(Some(Mount::Workspace { target: target.clone(), writable }), target)
        }
    }
}

fn is_volume_name(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

/// The target as docker would clean it.
fn normalised(target: &str) -> Result<String, String> {
    if target.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("its target contains a space or a control character".to_owned());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("its target is the root of the container".to_owned());
    }
    Ok(format!("/{}", parts.join("/")))
}

fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_grammar() {
        for (text, mount) in [
            ("docker-socket", Some(Mount::DockerSocket { writable: true })),
            ("docker-socket:ro", Some(Mount::DockerSocket { writable: false })),
            ("workspace", Some(Mount::Workspace { target: "/workspace".to_owned(), writable: true })),
            ("workspace:rw", Some(Mount::Workspace { target: "/workspace".to_owned(), writable: true })),
            (
                "workspace:/a//b/./c/../:ro",
                Some(Mount::Workspace { target: "/a/b".to_owned(), writable: false }),
            ),
            ("volume:cache:/cache", None),
            ("volume:ro:/cache:ro", None),
            ("tmux-socket:ro", None),
        ] {
            assert_eq!(parse(text).map(|parsed| parsed.mount), Ok(mount), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("", "cannot be mounted"),
            ("/etc:/etc", "cannot be mounted"),
            ("docker-socket:/x", "takes no target"),
            ("docker-socket:rx", "neither"),
            ("docker-socket:", "neither"),
            ("workspace:ro:/x", "come last"),
            ("workspace:ro:rw", "come last"),
            ("workspace:/a:/b", "two targets"),
            ("workspace:/a b", "space"),
            ("workspace:/opt/..", "root"),
            ("workspace://", "root"),
            ("volume", "name"),
            ("volume:cache", "target"),
            ("volume:_x:/cache", "name is"),
            ("tmux-socket:rw", "read-only"),
        ] {
            let found = parse(text).map(|parsed| parsed.target).expect_err(text);
            assert!(found.contains(reason), "{text}: {found}");
        }
    }

    #[test]
    fn overlapping_is_by_components() {
        for (one, other, expected) in
            [("/a", "/a", true), ("/a", "/a/b", true), ("/a/b", "/a", true), ("/a", "/ab", false)]
        {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(workspace|volume|docker-socket)?[:/a-z. ]{0,30}") {
            let _ = parse(&text);
        }
    }
}
