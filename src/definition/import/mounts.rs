//! Volumes, bound files and memory of a service.

use std::path::Path;

use serde_json::Value as Json;

use super::service::Surroundings;
use super::writing::text;

/// What was made of one entry: a mount, or why there is none.
pub type Made = Result<String, String>;

/// Where the engine's socket is in a container.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];

/// An entry of `volumes`, taken apart.
#[derive(Default)]
struct Entry {
    source: String,
    target: String,
    is_read_only: bool,
    kind: String,
    size: Option<String>,
}

fn entry(value: &Json) -> Option<Entry> {
    if let Json::Object(table) = value {
        let of = |key: &str| table.get(key).and_then(text).unwrap_or_default();
        let size = table.get("tmpfs").and_then(|tmpfs| text(tmpfs.get("size")?));
        let is_read_only = table.get("read_only") == Some(&true.into());
        return Some(Entry {
            source: of("source"),
            target: of("target"),
            is_read_only,
            kind: of("type"),
            size,
        });
    }
    let text = text(value)?;
    // What stands in a variable's braces may hold colons.
    let mut parts: Vec<String> = vec![String::new()];
    let mut open = 0_usize;
    for character in text.chars() {
        match character {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        match (character, parts.last_mut()) {
            (':', _) if open == 0 => parts.push(String::new()),
            (character, Some(last)) => last.push(character),
            _ => {}
        }
    }
    let mut parts = parts.into_iter();
    let (first, second, mode) = (parts.next()?, parts.next(), parts.next().unwrap_or_default());
    let (source, target) = match second {
        Some(target) => (first, target),
        None => (String::new(), first),
    };
    let is_path = source.starts_with(['/', '.', '~', '$']);
    let kind = if is_path { "bind" } else { "volume" };
    let is_read_only = mode.split(',').any(|option| option == "ro");
    Some(Entry { source, target, is_read_only, kind: kind.to_owned(), size: None })
}

/// The names of the volumes that a service mounts.
pub fn volume_names(service: &Json) -> impl Iterator<Item = String> + '_ {
    let entries = service.get("volumes").and_then(Json::as_array).into_iter().flatten();
    let volumes =
        entries.filter_map(entry).filter(|entry| entry.kind == "volume" && !entry.source.is_empty());
    volumes.map(|entry| entry.source)
}

/// Each entry of `volumes` as a mount.
pub fn of_volumes(value: &Json, around: &Surroundings<'_>) -> Vec<Made> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let entries: Vec<Option<Entry>> = items.iter().map(entry).collect();
    let targets: Vec<&str> =
        entries.iter().flatten().map(|entry| entry.target.trim_end_matches('/')).collect();
    let each = entries.iter().map(|entry| {
        let Some(entry) = entry else { return Err("an entry cannot be read".to_owned()) };
        let is_within = |other: &&&str| {
            entry.target.strip_prefix(**other).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
        };
        match targets.iter().find(is_within) {
            Some(other) => Err(format!(
                "{} lies within the mount at {other}, and farrier mounts nothing within another mount",
                entry.target
            )),
            None => made(entry, around),
        }
    });
    each.collect()
}

/// Each secret or configuration that the file declares with a file of this host, as a mount; `None` if one is declared
/// otherwise.
pub fn of_files(key: &str, value: &Json, declared: Option<&Json>, folder: &Path) -> Option<Vec<String>> {
    let mount = |item: &Json| {
        let name = item.get("source").or(Some(item)).and_then(text)?;
        let file = declared?.get(&name)?.get("file").and_then(text)?;
        let target = item.get("target").and_then(text).unwrap_or_else(|| name.clone());
        let target = match target.strip_prefix('/') {
            Some(_) => target,
            None if key == "secrets" => format!("/run/secrets/{target}"),
            None => format!("/{target}"),
        };
        Some(format!("bind:{}:{target}:ro", from_definitions(&file, folder)))
    };
    value.as_array()?.iter().map(mount).collect()
}

fn made(entry: &Entry, around: &Surroundings<'_>) -> Made {
    let Entry { source, target, is_read_only, kind, size } = entry;
    let mode = if *is_read_only { ":ro" } else { "" };
    match kind.as_str() {
        "tmpfs" => {
            Ok(format!("tmpfs:{target}{}", size.as_ref().map(|size| format!(":{size}")).unwrap_or_default()))
        }
        "bind" if SOCKETS.contains(&target.as_str()) => Ok(format!("docker-socket{mode}")),
        "bind" if target.ends_with("docker.sock") || source.ends_with("docker.sock") => Err(format!(
            "the engine's socket cannot be at {target}: write \"docker-socket{mode}\", and tell the service that it is at {}",
            SOCKETS[0]
        )),
        "bind" => Ok(format!("bind:{}:{target}{mode}", from_definitions(source, around.folder))),
        "volume" if source.is_empty() => {
            let name = target.trim_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            Ok(format!("volume:{name}:{target}{mode}"))
        }
        "volume" if around.shared_volumes.contains(source) => Err(format!(
            "the volume `{source}` is shared by several services, and a sidecar has its volumes for itself"
        )),
        "volume" => {
            let is_declared = around.named_volumes.contains(source.as_str());
            let name: String =
                source.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
            let name = name.trim_start_matches(['.', '-']).to_owned();
            if is_declared && !name.is_empty() {
                Ok(format!("volume:{name}:{target}{mode}"))
            } else {
                Err(format!("`{source}` is no volume of the file"))
            }
        }
        other => Err(format!("a mount of the kind `{other}` is not supported")),
    }
}

/// A path of the compose file, from the definitions' folder.
pub fn from_definitions(source: &str, folder: &Path) -> String {
    if let Some((variable, rest)) = with_relative_default(source) {
        let (name, default) = variable;
        return format!("${{{name}:-{}}}{rest}", joined(default, folder));
    }
    if source.starts_with(['/', '~', '$']) {
        return source.to_owned();
    }
    joined(source, folder)
}

fn joined(path: &str, folder: &Path) -> String {
    let path = path.trim_start_matches("./");
    let joined = if path == "." { folder.to_owned() } else { folder.join(path) };
    if joined.as_os_str().is_empty() { ".".to_owned() } else { joined.display().to_string() }
}

/// A path that begins with a variable whose default is a relative path: the variable's name, the default, and what follows.
fn with_relative_default(source: &str) -> Option<((&str, &str), &str)> {
    let (variable, rest) = source.strip_prefix("${")?.split_once('}')?;
    let (name, default) = variable.split_once(":-")?;
    let is_relative = !default.is_empty() && !default.starts_with(['/', '~', '$']);
    is_relative.then_some(((name, default), rest))
}

/// `tmpfs` of a service: `/path[:size=64m,…]`.
pub fn of_memory(value: &Json) -> Option<Vec<String>> {
    let texts = super::writing::texts(value)?;
    let mount = |text: &String| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let size = options.split(',').find_map(|option| option.strip_prefix("size="));
        format!("tmpfs:{target}{}", size.map(|size| format!(":{size}")).unwrap_or_default())
    };
    Some(texts.iter().map(mount).collect())
}
