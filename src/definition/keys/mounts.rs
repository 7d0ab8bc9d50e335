//! Mounts: `<word>[:what][:/target][:ro|:rw]`.

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::ContainerKeys;
use super::environment::salted;
use super::kind::{Kind, ValueText, json};
use super::paths::normalised;
use crate::definition::model::Mount;
use crate::definition::node::{Node, Value};
use crate::definition::reader::Reader;
use crate::definition::size;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{bytes, listed, quoted, word};

/// Where the engine's socket is mounted.
const SOCKET: &str = "/var/run/docker.sock";
/// Where a tmux socket's folder would be mounted.
const TMUX: &str = "/run/swarmforge-tmux";
const GRAMMAR: &str =
    "Write `volume:NAME:/path[:ro]`, `bind:SOURCE:/path[:ro]`, `tmpfs:/path[:SIZE]` or `docker-socket[:ro]`.";
/// The setting that takes memory; everything else is mounted by itself.
pub(super) const TMPFS: &str = "HostConfig.Tmpfs";

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
        let mut mounts: Vec<Mount> = Vec::new();
        for (index, (text, item)) in texts.iter().zip(items).enumerate() {
            let parsed = parse(text).and_then(|parsed| {
                let volume = |mount: &Mount| match mount {
                    Mount::Volume { name, .. } => Some(name.clone()),
                    _ => None,
                };
                let name = parsed.mount.as_ref().and_then(volume);
                if name.is_some() && mounts.iter().any(|mount| volume(mount) == name) {
                    return Err("the volume is mounted already".to_owned());
                }
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

    /// A file's content may be a secret.
    fn recorded(value: &Self::Value, salt: &str) -> String {
        let of = |mount| canonical(mount, |digest| salted(salt, "bind", digest));
        json(&value.iter().map(of).collect::<Vec<_>>())
    }

    /// The names of files whose content is another one; the key itself if anything else differs.
    fn differences(path: &str, before: Option<&Json>, now: Option<&Json>) -> Vec<String> {
        let texts = |mounts: Option<&Json>| {
            let items = mounts.and_then(Json::as_array).cloned().unwrap_or_default();
            items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let (before, now) = (texts(before), texts(now));
        let without_content = |texts: &[String]| {
            texts.iter().map(|text| text.split(CONTENT).next().unwrap_or(text).to_owned()).collect::<Vec<_>>()
        };
        if without_content(&before) != without_content(&now) {
            return vec![path.to_owned()];
        }
        let changed = before.iter().zip(&now).filter(|(before, now)| before != now);
        changed.map(|(_, now)| bound_file(now).unwrap_or(path).to_owned()).collect()
    }

    /// Memory, which docker's API takes beside other mounts.
    fn engine_value(value: &Self::Value) -> Option<Json> {
        let of = |mount: &Mount| match mount {
            Mount::Tmpfs { target, size } => {
                let options = size.map(|most| format!("size={most}")).unwrap_or_default();
                Some((target.clone(), Json::from(options)))
            }
            _ => None,
        };
        let memory: serde_json::Map<String, Json> = value.iter().filter_map(of).collect();
        (!memory.is_empty()).then(|| memory.into())
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        ValueText::line(label, listed(&value.iter().map(in_words).collect::<Vec<_>>()))
    }
}

impl Serialize for Mount {
    /// The text that is hashed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&canonical(self, str::to_owned))
    }
}

/// What stands before the digest of a file's content.
const CONTENT: &str = " content ";
/// How the engine's socket begins, as it is hashed.
const ENGINE_SOCKET: &str = "DockerSocket";

/// A mount as it is hashed. The first two forms are those of version 0.1.0.
fn canonical(mount: &Mount, digest: impl Fn(&str) -> String) -> String {
    let mode = |writable: &bool| if *writable { "rw" } else { "ro" };
    match mount {
        Mount::DockerSocket { writable } => format!("{ENGINE_SOCKET} {{ writable: {writable:?} }}"),
        Mount::Workspace { target, writable } => {
            format!("Workspace {{ target: {target:?}, writable: {writable:?} }}")
        }
        Mount::Volume { name, target, writable } => format!("volume {name} {target} {}", mode(writable)),
        Mount::Tmpfs { target, size } => match size {
            Some(size) => format!("tmpfs {target} {size}"),
            None => format!("tmpfs {target}"),
        },
        Mount::Bind { source, target, writable, bound } => {
            let content = bound.as_ref().and_then(|bound| bound.digest.as_deref());
            let content = content.map(|content| format!("{CONTENT}{}", digest(content))).unwrap_or_default();
            format!("bind {target} {} {source}{content}", mode(writable))
        }
    }
}

/// Whether a recorded mount is the engine's socket.
#[must_use]
pub fn is_engine_socket(recorded: &Json) -> bool {
    recorded.as_str().is_some_and(|text| text.starts_with(ENGINE_SOCKET))
}

/// The name of the file that a recorded mount binds.
fn bound_file(recorded: &str) -> Option<&str> {
    let source = recorded.strip_prefix("bind ")?.split(CONTENT).next()?.splitn(3, ' ').nth(2)?;
    source.rsplit('/').next()
}

fn in_words(mount: &Mount) -> String {
    let mode = |writable: bool| if writable { "writable" } else { "read-only" };
    match mount {
        Mount::DockerSocket { writable } => {
            let even_so = if *writable { "" } else { " even so" };
            let mode = mode(*writable);
            format!("the engine's socket, {mode}: whoever can use it controls this machine{even_so}")
        }
        Mount::Workspace { target, writable } => {
            format!("the workspace at {}, {}", quoted(target), mode(*writable))
        }
        Mount::Volume { name, target, writable } => {
            format!("its volume {} at {}, {}", word(name), quoted(target), mode(*writable))
        }
        Mount::Bind { source, target, writable, bound } => {
            let content = bound.as_ref().and_then(|bound| bound.digest.as_ref());
            let content = content.map(|digest| format!(", sha256 {digest}")).unwrap_or_default();
            format!("{} of this machine at {}, {}{content}", quoted(source), quoted(target), mode(*writable))
        }
        Mount::Tmpfs { target, size } => {
            let most = size.map(|size| format!(", at most {}", bytes(size))).unwrap_or_default();
            format!("memory at {}{most}", quoted(target))
        }
    }
}

fn parse(text: &str) -> Result<Parsed, String> {
    let mut fields = text.split(':');
    let word = fields.next().unwrap_or(text);
    let mut fields: Vec<&str> = fields.collect();
    if word == "tmpfs" {
        return tmpfs(&fields);
    }
    let source = match word {
        "workspace" | "docker-socket" | "tmux-socket" => None,
        "volume" if fields.is_empty() => return Err("a volume needs a name".to_owned()),
        "bind" if fields.first().is_none_or(|source| source.is_empty()) => {
            return Err("it names no file or folder".to_owned());
        }
        "volume" | "bind" => Some(fields.remove(0)),
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
    match (word, target, source) {
        ("docker-socket" | "tmux-socket", Some(_), _) => Err(format!("`{word}` takes no target")),
        ("docker-socket", None, _) => of(Some(Mount::DockerSocket { writable }), SOCKET.to_owned()),
        ("tmux-socket", None, _) if mode == Some("rw") => Err("a tmux socket is always read-only".to_owned()),
        ("tmux-socket", None, _) => of(None, TMUX.to_owned()),
        ("volume" | "bind", None, _) => Err(format!("a {word} needs a target")),
        ("volume", Some(_), Some(name)) if !is_volume_name(name) => {
            Err("a volume's name is 1 to 64 letters, digits, `.` and `-`, and begins with a letter or digit"
                .to_owned())
        }
        ("volume", Some(target), Some(name)) => {
            of(Some(Mount::Volume { name: name.to_owned(), target: target.clone(), writable }), target)
        }
        ("bind", Some(target), Some(source)) => {
            let source = shortest(source)?;
            of(Some(Mount::Bind { source, target: target.clone(), writable, bound: None }), target)
        }
        (_, target, _) => {
            let target = target.unwrap_or_else(|| "/workspace".to_owned());
            of(Some(Mount::Workspace { target: target.clone(), writable }), target)
        }
    }
}

/// `tmpfs:/path[:SIZE]`.
fn tmpfs(fields: &[&str]) -> Result<Parsed, String> {
    let (target, size) = match fields {
        [target] => (target, None),
        [target, size] => {
            let size = size.strip_prefix("size=").unwrap_or(size);
            let most = size::parse(size).map_err(|reason| format!("its size is `{size}`: {reason}"))?;
            (target, Some(most))
        }
        [] => return Err("memory needs a target".to_owned()),
        _ => return Err("it has too many parts".to_owned()),
    };
    if !target.starts_with('/') {
        return Err(format!("`{target}` is not an absolute path"));
    }
    if size == Some(0) {
        return Err("its size is 0".to_owned());
    }
    let target = normalised(target)?;
    let mount = Some(Mount::Tmpfs { target: target.clone(), size });
    Ok(Parsed { word: "tmpfs".to_owned(), mount, target })
}

/// A path without parts that lead nowhere. `..` stays: behind a link it leads elsewhere than to the parent.
fn shortest(source: &str) -> Result<String, String> {
    if source.chars().any(char::is_control) {
        return Err("its source contains a control character".to_owned());
    }
    let parts: Vec<&str> = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let root = if source.starts_with('/') { "/" } else { "" };
    let path = format!("{root}{}", parts.join("/"));
    Ok(if path.is_empty() { ".".to_owned() } else { path })
}

fn is_volume_name(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
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

    fn volume(name: &str, target: &str, writable: bool) -> Mount {
        Mount::Volume { name: name.to_owned(), target: target.to_owned(), writable }
    }

    fn bind(source: &str, target: &str, writable: bool) -> Mount {
        let (source, target) = (source.to_owned(), target.to_owned());
        Mount::Bind { source, target, writable, bound: None }
    }

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
            ("volume:cache:/cache", Some(volume("cache", "/cache", true))),
            ("volume:ro:/cache:ro", Some(volume("ro", "/cache", false))),
            ("bind:./a//b:/b:ro", Some(bind("a/b", "/b", false))),
            ("bind:/a/./b/:/b", Some(bind("/a/b", "/b", true))),
            ("bind:~/a:/b", Some(bind("~/a", "/b", true))),
            ("bind:../a:/b", Some(bind("../a", "/b", true))),
            ("bind:.:/b", Some(bind(".", "/b", true))),
            ("tmpfs:/run", Some(Mount::Tmpfs { target: "/run".to_owned(), size: None })),
            ("tmpfs:/run:64Mi", Some(Mount::Tmpfs { target: "/run".to_owned(), size: Some(64 << 20) })),
            ("tmpfs:/run:size=64m", Some(Mount::Tmpfs { target: "/run".to_owned(), size: Some(64 << 20) })),
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
            ("bind", "names no file"),
            ("bind::/x", "names no file"),
            ("bind:./x", "target"),
            ("bind:./x:y", "neither"),
            ("bind:./x:/y:/z", "two targets"),
            ("tmpfs", "target"),
            ("tmpfs:run", "absolute"),
            ("tmpfs:/run:big", "its size"),
            ("tmpfs:/run:0", "size is 0"),
            ("tmpfs:/run:1m:ro", "too many"),
            ("tmpfs:/", "root"),
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
        fn never_panics(text in "(workspace|volume|bind|tmpfs|docker-socket)?[:/a-z. ]{0,30}") {
            let _ = parse(&text);
        }
    }
}
