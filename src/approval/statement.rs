//! What a workspace definition would start, in plain words: the whole effective definition.

use crate::definition::model::{Definition, DialGrant, Interface, Mount, Readiness};
use crate::definition::qualified_image;
use crate::elapsed::limit;
use crate::preparation::Prepared;
use crate::probe::catalogue::FoundProbe;
use crate::sidecar::sha256_hex;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about; no two lines of a statement have the same.
    pub label: String,
    /// In words; not escaped yet.
    pub text: String,
    /// What is kept of it with an approval.
    pub kept: Kept,
}

/// What is kept of a line with an approval, to say later what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its words.
    Words,
    /// A digest: it may be a password.
    Digest,
    /// Nothing: it is of the moment and not of the definition.
    Nothing,
}

/// All lines, in the order of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the sidecar gets the engine's socket.
    pub has_socket: bool,
}

/// A text or a list as it could stand in a definition: nothing in it can look like the end of it.
fn quoted<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A name as it is where it is a plain word.
fn word(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) { name.to_owned() } else { quoted(name) }
}

impl Statement {
    /// Says what a sidecar is. Where an engine was asked for the image, its id stands there too.
    #[must_use]
    pub fn of(prepared: &Prepared, engine_was_asked: bool) -> Self {
        let definition = &prepared.sidecar.definition;
        let mut statement = Self { lines: Vec::new(), has_socket: false };
        if let Some(description) = &definition.description {
            statement.add("description", quoted(description));
        }
        statement.add("image", qualified_image(&definition.image));
        if engine_was_asked {
            let known = prepared.sidecar.image != definition.image;
            let text = if known { &prepared.sidecar.image } else { "not here yet: it is pulled" };
            statement.line("image id", text.to_owned(), Kept::Nothing);
        }
        statement.process(definition);
        statement.surroundings(definition);
        for (index, (readiness, found)) in definition.readiness.iter().zip(&prepared.probes).enumerate() {
            let number =
                if definition.readiness.len() == 1 { String::new() } else { format!(" {}", index + 1) };
            statement.readiness(&number, definition, readiness, found);
        }
        statement
    }

    fn line(&mut self, label: impl Into<String>, text: String, kept: Kept) {
        self.lines.push(Line { label: label.into(), text, kept });
    }

    fn add(&mut self, label: impl Into<String>, text: impl Into<String>) {
        self.line(label, text.into(), Kept::Words);
    }

    fn process(&mut self, definition: &Definition) {
        let own = || "the image's own".to_owned();
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| quoted(words));
        let entrypoint = words(&definition.entrypoint);
        let no_command = if entrypoint.is_some() { "none".to_owned() } else { own() };
        self.add("entrypoint", entrypoint.unwrap_or_else(own));
        self.add("command", words(&definition.command).unwrap_or(no_command));
        if definition.env.is_empty() {
            self.add("env", "the image's own");
        }
        for (name, value) in &definition.env {
            self.line(format!("env {}", word(name)), quoted(value), Kept::Digest);
        }
        let memory = definition
            .memory
            .map_or_else(|| "no limit".to_owned(), |most| format!("at most {}", bytes(most)));
        self.add("memory", memory);
    }

    fn surroundings(&mut self, definition: &Definition) {
        let mode = |writable: bool| if writable { "writable" } else { "read-only" };
        let mounts: Vec<String> = definition
            .mounts
            .iter()
            .map(|mount| match mount {
                Mount::DockerSocket { writable } => {
                    self.has_socket = true;
                    let all_the_same = if *writable { "" } else { " all the same" };
                    let mode = mode(*writable);
                    format!("the engine's socket, {mode}: whoever has it controls this machine{all_the_same}")
                }
                Mount::Workspace { target, writable } => {
                    format!("the workspace at {}, {}", quoted(target), mode(*writable))
                }
            })
            .collect();
        self.add("mounts", listed(&mounts));
        self.add(
            "networks",
            match definition.networks.as_slice() {
                [] => "the harness's".to_owned(),
                networks => format!("the harness's, and {}", quoted(networks)),
            },
        );
        let names = || definition.aliases().iter().map(|alias| word(alias)).collect::<Vec<_>>().join(", ");
        self.add(
            "reached",
            match &definition.interface {
                Interface::Port { port, .. } => format!("at port {port}, as {}", names()),
                Interface::None => "not at all".to_owned(),
                Interface::Mcp { name, port, .. } => format!("at port {port}, as {}", word(name)),
                Interface::Volume { volume, .. } => format!("through the volume {}", word(volume)),
            },
        );
    }

    fn readiness(
        &mut self,
        number: &str,
        definition: &Definition,
        readiness: &Readiness,
        found: &FoundProbe,
    ) {
        let label = |what: &str| format!("readiness{number}: {what}");
        self.add(
            label("probe"),
            if found.built_in {
                format!("{}, which ships with farrier", word(&found.name))
            } else {
                let size = found.component.bytes.len();
                format!("{}, {size} bytes, sha256 {}", word(&found.name), found.component.digest)
            },
        );
        if let Some(command) = &readiness.command {
            self.add(label("command"), quoted(command));
        }
        if !found.built_in {
            let grants = grants(found, definition);
            if grants.is_empty() {
                self.add(label("may"), "do nothing but answer");
            }
            for (what, words) in grants {
                self.add(label(&format!("may {what}")), words);
            }
        }
        if !readiness.settings.is_empty() {
            self.line(label("settings"), quoted(&readiness.settings), Kept::Digest);
        }
        let (timeout, most) = (limit(readiness.timeout), limit(readiness.max_timeout));
        self.add(label("time"), format!("{timeout} from the start, at most {most}"));
        if !found.built_in {
            let limits = &readiness.limits;
            self.add(
                label("limits"),
                format!("{} of memory, {} a poll", bytes(limits.memory), limit(limits.poll)),
            );
        }
    }

    /// What is kept with an approval.
    #[must_use]
    pub fn record(&self, salt: &str) -> Vec<(String, String)> {
        let kept = self.lines.iter().filter(|line| line.kept != Kept::Nothing);
        kept.map(|line| (line.label.clone(), line.record(salt))).collect()
    }

    /// What differs from what was kept: labels of lines, in their order, then of those that are gone.
    #[must_use]
    pub fn changes(&self, salt: &str, before: &[(String, String)]) -> Vec<String> {
        let now = self.record(salt);
        let changed = now.iter().filter(|line| !before.contains(line)).map(|(label, _)| label);
        let gone = before
            .iter()
            .map(|(label, _)| label)
            .filter(|label| now.iter().all(|(other, _)| other != *label));
        changed.chain(gone).cloned().collect()
    }
}

impl Line {
    fn record(&self, salt: &str) -> String {
        match self.kept {
            Kept::Words => self.text.clone(),
            Kept::Digest | Kept::Nothing => {
                format!("sha256:{}", sha256_hex(format!("{salt}\0{}\0{}", self.label, self.text)))
            }
        }
    }
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join("; ") }
}

fn bytes(amount: u64) -> String {
    match amount {
        amount if amount != 0 && amount.is_multiple_of(1 << 20) => format!("{} MiB", amount >> 20),
        amount => format!("{amount} bytes"),
    }
}

/// Each granted capability: what the probe may, and how far.
fn grants(found: &FoundProbe, definition: &Definition) -> Vec<(&'static str, String)> {
    let grants = &found.grants;
    let own = |port: Option<u16>| match port.or(definition.port()) {
        Some(port) => format!("this sidecar at port {port}"),
        None => "this sidecar".to_owned(),
    };
    let dial = grants.dial.iter().map(|grant| match grant {
        DialGrant::This(port) => own(*port),
        DialGrant::Sidecar { name, port } => format!("the sidecar {} at port {port}", word(name)),
    });
    let exec = grants.exec.iter().map(quoted);
    let directories = grants.dirs.iter().zip(&found.directories).map(|(grant, copy)| {
        let (host, guest) = (quoted(&grant.host.to_string_lossy()), quoted(&grant.guest));
        format!("the folder {host} as {guest}, sha256 {}", copy.digest)
    });
    let env = grants.env.iter().map(|name| word(name));
    let mut all: Vec<(&'static str, Vec<String>)> = vec![("connect to", dial.collect())];
    all.push(("run in the container", exec.collect()));
    if grants.health {
        all.push(("use its health", vec!["the engine's status, and the image's own test".to_owned()]));
    }
    if grants.logs {
        all.push(("read its log", vec!["since the container's start".to_owned()]));
    }
    all.push(("read", directories.collect()));
    all.push(("read from env", env.collect()));
    all.into_iter().filter(|(_, what)| !what.is_empty()).map(|(may, what)| (may, listed(&what))).collect()
}
