//! The rules of a policy: their names, and the values that a file gives them. Reading is strict: a rule that farrier passed
//! over would leave something open that was meant to be closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::definition::node::{Entry, Node, ScalarKind, Value};
use crate::definition::reader::Reader;
use crate::definition::{Repository, layers, linux_capability, nearest, toml};
use crate::report::error::{Code, Place, Problem, Source};

/// Stands for graphics processors among devices.
pub(super) const GPUS: &str = "gpus";
/// Stands for this host's own network among networks.
pub(super) const HOST: &str = "host";
/// Stands for the workspace among folders.
pub(super) const WORKSPACE: &str = "workspace";
/// Stands for images in files of this host among registries.
pub(super) const FILES: &str = "files";
/// What is said of every mistake.
const HOW_TO_GO_ON: &str = "farrier starts nothing until the policy can be read. Correct it, or remove the file if it should bound nothing.";

/// A rule with its place in the policy's file.
#[derive(Clone, Debug)]
pub(super) struct Bound<T> {
    /// What it permits at most.
    pub value: T,
    /// The place of its key.
    pub place: Place,
}

/// Which programs of this host sidecars may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Programs {
    /// None.
    None,
    /// Those with `confine`.
    Confined,
    /// All.
    Any,
}

/// At which addresses of the engine's host ports may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// At none.
    Nowhere,
    /// At those that only this host reaches.
    Loopback,
    /// At all.
    Anywhere,
}

/// What a file of a policy says; a rule that it does not have is `None`, and bounds nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Whether a sidecar may get the engine's socket.
    pub engine_socket: Option<Bound<bool>>,
    /// The networks that definitions may name.
    pub networks: Option<Bound<Vec<String>>>,
    /// Where images and probes may come from.
    pub registries: Option<Bound<Origins>>,
    /// Whether images and probes have to be named by digests.
    pub digests_only: Option<Bound<bool>>,
    /// The most memory of a sidecar, in bytes.
    pub memory: Option<Bound<u64>>,
    /// The most memory of a probe, in bytes.
    pub probe_memory: Option<Bound<u64>>,
    /// Whether a probe may accept any certificate.
    pub insecure_tls: Option<Bound<bool>>,
    /// Whether a container may be privileged.
    pub privileged: Option<Bound<bool>>,
    /// The capabilities of Linux that may be added.
    pub capabilities: Option<Bound<Vec<String>>>,
    /// The devices of the engine's host that a container may get.
    pub devices: Option<Bound<Vec<String>>>,
    /// The security options that a container may have besides those that take power away.
    pub security_options: Option<Bound<Vec<String>>>,
    /// The files and folders of this host that a sidecar may get.
    pub binds: Option<Bound<HostPaths>>,
    /// Which programs of this host a sidecar may be.
    pub programs: Option<Bound<Programs>>,
    /// Where ports may be published.
    pub publish: Option<Bound<Published>>,
}

/// Where images and probes may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins {
    /// Registries, or parts of them.
    pub registries: Vec<Repository>,
    /// Whether images may come from files of this host.
    pub files: bool,
}

impl Origins {
    /// Whether a repository is in one of them.
    pub fn permit(&self, repository: &Repository) -> bool {
        self.registries.iter().any(|permitted| permitted.contains(repository))
    }

    /// What a definition may do instead of naming an image of another origin.
    pub fn way_out(&self) -> String {
        let mut permitted: Vec<String> = self.registries.iter().map(|one| format!("`{one}`")).collect();
        if self.files {
            permitted.push("a file (`oci:./layout`)".to_owned());
        }
        if permitted.is_empty() {
            return "Remove the definition: the policy permits images of no registry.".to_owned();
        }
        format!("Use an image of {}.", permitted.join(" or "))
    }
}

/// Files and folders of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostPaths {
    /// Absolute paths; what is in them is permitted, too.
    pub paths: Vec<PathBuf>,
    /// Whether the workspace is among them.
    pub workspace: bool,
}

/// Reads one rule's value.
type Read = fn(&Entry, &mut Reader<'_>, &mut Rules);

/// Makes the table of the rules: each has its name in a file from the field's.
macro_rules! rules {
    ($($name:ident: $read:path,)*) => {
        /// Each rule's name, how its value is read, and where its file has it; in the order of the documents.
        const RULES: &[(&str, Read)] = &[$((stringify!($name), |entry, reader, rules| {
            let place = reader.place(&entry.key_span);
            rules.$name = $read(&entry.value, stringify!($name), reader).map(|value| Bound { value, place });
        }),)*];

        impl Rules {
            /// The names of the rules that a file has, in the order of the documents.
            pub fn names(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name.is_some()),)*];
                all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
            }
        }
    };
}

rules! {
    engine_socket: boolean,
    networks: words,
    registries: origins,
    digests_only: boolean,
    memory: size,
    probe_memory: size,
    insecure_tls: boolean,
    privileged: boolean,
    capabilities: capabilities,
    devices: devices,
    security_options: words,
    binds: host_paths,
    programs: programs,
    publish: published,
}

/// The names of all rules.
pub(super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|(name, _)| *name).collect()
}

impl Rules {
    /// Reads the text of a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, each mistake at its place.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let root = toml::parse(&source.text).map_err(|errors| {
            let problem = |error: crate::definition::node::SyntaxError| {
                let place = Place { source: Arc::clone(source), span: error.span };
                Problem::error(Code::PolicyUnusable, error.message).at(place).hint(error.hint)
            };
            told(errors.into_iter().map(problem).collect())
        })?;
        let Value::Table(entries) = &root.value else { return Ok(Self::default()) };
        let mut reader = Reader::new(source, "");
        let mut rules = Self::default();
        for entry in entries {
            match RULES.iter().find(|(name, _)| *name == entry.key) {
                Some((_, read)) => read(entry, &mut reader, &mut rules),
                None => unknown(entry, &mut reader),
            }
        }
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(rules) } else { Err(told(problems)) }
    }
}

/// Problems as those of a policy, which no sidecar has.
fn told(problems: Vec<Problem>) -> Vec<Problem> {
    let of_policy = |problem: Problem| {
        Problem { code: Code::PolicyUnusable, sidecar: None, ..problem }.hint(HOW_TO_GO_ON)
    };
    layers::told(problems).into_iter().map(of_policy).collect()
}

fn unknown(entry: &Entry, reader: &mut Reader<'_>) {
    let names = names();
    let hint = match nearest(&entry.key, &names) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("The rules are {}.", names.join(", ")),
    };
    let message = format!("`{}` is not a rule of a policy", entry.key);
    reader.report(Problem::error(Code::PolicyUnusable, message).hint(hint), &entry.key_span);
}

fn boolean(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<bool> {
    reader.boolean(node, field)
}

fn size(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<u64> {
    reader.size(node, field)
}

/// A list of words, each of which `read` understands, or says why it does not.
fn each<T>(
    node: &Node,
    field: &str,
    reader: &mut Reader<'_>,
    hint: &str,
    mut read: impl FnMut(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let (texts, Value::List(items)) = (reader.strings(node, field)?, &node.value) else { return None };
    let mut values = Vec::with_capacity(texts.len());
    for (index, (text, item)) in texts.iter().zip(items).enumerate() {
        match read(text) {
            Ok(value) => values.push(value),
            Err(reason) => {
                let message = format!("`{field}[{index}]` is \"{text}\": {reason}");
                reader.report(Problem::error(Code::PolicyUnusable, message).hint(hint), &item.span);
            }
        }
    }
    (values.len() == items.len()).then_some(values)
}

fn words(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    each(node, field, reader, "Write a name, or remove it.", |text| {
        if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
    })
}

fn origins(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Origins> {
    const HINT: &str = "Write registries or parts of them: \"docker.io/library\", \"ghcr.io/acme\"; \"files\" for images in files.";
    let mut files = false;
    let read = |text: &str| match text {
        FILES => {
            files = true;
            Ok(None)
        }
        text => Repository::prefix(text).map(Some),
    };
    let registries = each(node, field, reader, HINT, read)?.into_iter().flatten().collect();
    Some(Origins { registries, files })
}

fn capabilities(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const HINT: &str = "Write it as in `man 7 capabilities`, with or without `CAP_`: \"NET_BIND_SERVICE\".";
    each(node, field, reader, HINT, |text| {
        linux_capability(text).ok_or_else(|| "it is not a capability of Linux".to_owned())
    })
}

fn devices(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const HINT: &str = "Write paths of devices, \"/dev/fuse\"; \"gpus\" for graphics processors.";
    each(node, field, reader, HINT, |text| {
        let is_known = text == GPUS || text.starts_with('/');
        if is_known { Ok(text.to_owned()) } else { Err("it is not an absolute path".to_owned()) }
    })
}

fn host_paths(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<HostPaths> {
    const HINT: &str = "Write absolute paths, or paths in your home directory: \"~/fixtures\"; \"workspace\" for the workspace.";
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut workspace = false;
    let read = |text: &str| {
        if text == WORKSPACE {
            workspace = true;
            return Ok(None);
        }
        let below_home = || Some(home.as_ref()?.join(text.strip_prefix("~/")?));
        let path = Some(Path::new(text).to_owned()).filter(|path| path.is_absolute()).or_else(below_home);
        path.map(Some).ok_or_else(|| "it is not an absolute path".to_owned())
    };
    let paths = each(node, field, reader, HINT, read)?.into_iter().flatten().collect();
    Some(HostPaths { paths, workspace })
}

/// One of these words.
fn choice<T: Copy>(node: &Node, field: &str, reader: &mut Reader<'_>, words: &[(&str, T)]) -> Option<T> {
    let scalar = node.scalar().filter(|scalar| scalar.kind == ScalarKind::String);
    let text = scalar.map_or("", |scalar| &scalar.text);
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let near = scalar.and_then(|_| nearest(text, &known));
    let hint = near
        .map_or_else(|| "Write one of these words.".to_owned(), |near| format!("Did you mean \"{near}\"?"));
    reader.wrong(field, &format!("one of {}", all.join(", ")), node, &hint);
    None
}

fn programs(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Programs> {
    let words = [("none", Programs::None), ("confined", Programs::Confined), ("any", Programs::Any)];
    choice(node, field, reader, &words)
}

fn published(node: &Node, field: &str, reader: &mut Reader<'_>) -> Option<Published> {
    let words =
        [("none", Published::Nowhere), ("loopback", Published::Loopback), ("any", Published::Anywhere)];
    choice(node, field, reader, &words)
}
