//! What a workspace definition would start, in plain words: the whole effective definition.

mod grants;

use self::grants::grants;
pub use self::grants::shows_grants;
use crate::definition::model::{Definition, Disablement, Interface, Mount, Readiness};
use crate::definition::order::OnExit;
use crate::definition::{FoundProgram, KEYS, Rank, ValueText, qualified_image};
use crate::preparation::ResolvedSidecar;
use crate::probe::catalogue::FoundProbe;
use crate::report::elapsed::limit;
use crate::report::quoted::{bytes, quoted, word};
use crate::system::digest::sha256_hex;

/// Stands before what is kept of a line that may be a password.
const DIGEST: &str = "sha256:";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about; no two lines of a statement have the same.
    pub label: String,
    /// In words; not escaped yet.
    pub text: String,
    /// What is kept of it with an approval.
    pub kept: Kept,
    /// Where it stands: what gives power comes first.
    pub rank: Rank,
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

/// What an engine holds, as far as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The image's id, or that it is pulled.
    pub image: Option<String>,
    /// What becomes of the sidecar's container, in words; `None` if it has none.
    pub container: Option<String>,
}

/// All lines, what gives power first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the sidecar could control the machine: it gets the engine's socket, or what is as good.
    pub controls_machine: bool,
}

impl Statement {
    /// Says what a sidecar is, what gives it power first, and where an engine was asked, what that holds.
    #[must_use]
    pub fn of(prepared: &ResolvedSidecar, held: &Held) -> Self {
        let definition = &prepared.sidecar.definition;
        let container = &definition.container;
        let is_power =
            |name: &String| ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO"].contains(&name.as_str());
        let controls_machine = container.mounts.iter().any(Mount::is_engine_socket)
            || container.privileged
            || !container.devices.is_empty()
            || container.cap_add.iter().any(is_power);
        let mut statement = Self { lines: Vec::new(), controls_machine };
        if let Some(description) = &definition.description {
            statement.add("description", quoted(description));
        }
        if let Some(image) = &definition.image {
            statement.add("image", qualified_image(image));
        }
        if let Some(program) = &prepared.program {
            statement.program(program);
        }
        if let Some(image) = &prepared.image_id {
            // Each build of an image that the workspace brings along is asked about.
            statement.add("image id", image.clone());
        } else if let Some(image) = &held.image {
            statement.line("image id", image.clone(), Kept::Nothing);
        }
        statement.container(definition);
        for (name, template) in &definition.harness_env {
            let label = format!("harness env {}", word(name));
            statement.ranked(label, quoted(&template.to_string()), Kept::Words, Rank::Grant);
        }
        if !definition.after.is_empty() {
            let after: Vec<String> = definition
                .after
                .iter()
                .map(|after| format!("{} ({})", word(&after.sidecar), after.until.as_str()))
                .collect();
            statement.add("after", after.join(", "));
        }
        match definition.on_exit {
            OnExit::Warn => {}
            OnExit::Stop => statement.add("on exit", "its end ends the harness"),
            OnExit::Restart => statement.add("on exit", "it is started again"),
        }
        if definition.job().is_some() {
            statement.add("time", format!("it may run for {}", limit(definition.job_timeout)));
        }
        if !definition.variables.is_empty() {
            let names: Vec<String> = definition.variables.iter().map(|name| word(name)).collect();
            statement.ranked("reads variables", names.join(", "), Kept::Words, Rank::Grant);
        }
        for (index, (readiness, found)) in definition.readiness.iter().zip(&prepared.probes).enumerate() {
            let number =
                if definition.readiness.len() == 1 { String::new() } else { format!(" {}", index + 1) };
            statement.readiness(&number, definition, readiness, found);
        }
        if let Some(container) = &held.container {
            statement.ranked("container", container.clone(), Kept::Nothing, Rank::Container);
        }
        // Stable: the order of a definition stays within each rank.
        statement.lines.sort_by_key(|line| line.rank);
        statement
    }

    /// Says which sidecar would not be started.
    #[must_use]
    pub fn of_disabled(disablement: &Disablement) -> Self {
        let Disablement { name, layer, file, .. } = disablement;
        let mut statement = Self { lines: Vec::new(), controls_machine: false };
        let file = quoted(&file.to_string_lossy());
        statement.add("disables", format!("{} of the {layer} layer, declared in {file}", word(name)));
        statement
    }

    fn line(&mut self, label: impl Into<String>, text: String, kept: Kept) {
        self.ranked(label, text, kept, Rank::Usual);
    }

    fn ranked(&mut self, label: impl Into<String>, text: String, kept: Kept, rank: Rank) {
        self.lines.push(Line { label: label.into(), text, kept, rank });
    }

    fn add(&mut self, label: impl Into<String>, text: impl Into<String>) {
        self.line(label, text.into(), Kept::Words);
    }

    /// The file that is run: all of it, or as much as its name on `PATH` tells.
    fn program(&mut self, program: &FoundProgram) {
        let path = quoted(&program.path.to_string_lossy());
        let digest = program.digest.as_ref().map(|digest| format!(", {digest}"));
        let text =
            format!("{path}{}; it may run other files, which are not shown", digest.unwrap_or_default());
        self.ranked("program file", text, Kept::Words, Rank::Machine);
    }

    /// The keys that make the container what it is.
    fn container(&mut self, definition: &Definition) {
        for key in KEYS {
            for ValueText { label, text, is_secret } in key.texts(&definition.container) {
                let kept = if is_secret { Kept::Digest } else { Kept::Words };
                self.lines.push(Line { label, text, kept, rank: key.rank });
            }
        }
        let names = || definition.aliases().iter().map(|alias| word(alias)).collect::<Vec<_>>().join(", ");
        self.add(
            "reached",
            match &definition.interface {
                Interface::Port { port, ports, .. } => {
                    let more: Vec<String> =
                        ports.iter().map(|(name, port)| format!(", at {port} for {}", word(name))).collect();
                    format!("at port {port}{}, as {}", more.concat(), names())
                }
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
        if shows_grants(found, definition) {
            let grants = grants(found, definition);
            if grants.is_empty() {
                self.ranked(label("may"), "do nothing but answer".to_owned(), Kept::Words, Rank::Grant);
            }
            for (what, words) in grants {
                self.ranked(label(&format!("may {what}")), words, Kept::Words, Rank::Grant);
            }
        }
        if !readiness.settings.is_empty() {
            self.line(label("settings"), quoted(&readiness.settings), Kept::Digest);
        }
        let (timeout, most) = (limit(readiness.timeout), limit(readiness.max_timeout));
        let in_a_row = match (readiness.successes, readiness.interval) {
            (1, _) => String::new(),
            (count, interval) if interval.is_zero() => format!(", ready {count} times in a row"),
            (count, interval) => format!(", ready {count} times in a row, each {} apart", limit(interval)),
        };
        self.add(label("time"), format!("{timeout} from the start, at most {most}{in_a_row}"));
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

    /// What differs from what was kept: changed lines, in their order, then those that are gone.
    #[must_use]
    pub fn changes(&self, salt: &str, before: &[(String, String)]) -> Vec<Change> {
        let kept = |label: &str| before.iter().find(|(other, _)| other == label).map(|(_, record)| record);
        let lines = self.lines.iter().filter(|line| line.kept != Kept::Nothing);
        let changed = lines.filter(|line| kept(&line.label) != Some(&line.record(salt))).map(|line| Change {
            label: line.label.clone(),
            approved: kept(&line.label).map(|record| shown(record, line.kept == Kept::Words)),
            now: Some(line.text.clone()),
        });
        let is_gone = |label: &String| self.lines.iter().all(|line| line.label != *label);
        let gone = before.iter().filter(|(label, _)| is_gone(label)).map(|(label, record)| Change {
            label: label.clone(),
            approved: Some(shown(record, !is_digest(record))),
            now: None,
        });
        changed.chain(gone).collect()
    }
}

/// A line that is not as it was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub label: String,
    /// The words that were approved, not escaped yet; `None` if there was no such line.
    pub approved: Option<String>,
    /// The words now; `None` if the line is gone.
    pub now: Option<String>,
}

/// What a question shows of a line that was kept.
fn shown(record: &str, is_words: bool) -> String {
    if is_words { record.to_owned() } else { "another value, which farrier does not store".to_owned() }
}

fn is_digest(record: &str) -> bool {
    record.strip_prefix(DIGEST).is_some_and(|digits| digits.len() == 64)
}

impl Line {
    fn record(&self, salt: &str) -> String {
        match self.kept {
            Kept::Words => self.text.clone(),
            Kept::Digest | Kept::Nothing => {
                format!("{DIGEST}{}", sha256_hex(format!("{salt}\0{}\0{}", self.label, self.text)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{LayerDirectories, load};
    use crate::plan::sidecar::{Scopes, Sidecar};
    use crate::preparation::Approval;
    use crate::probe::catalogue::find;
    use crate::probe::folders::ProbeFolders;

    /// The statement about a definition with these lines in its top table and under its readiness.
    fn statement(top: &str, readiness: &str) -> Statement {
        let folder = tempfile::tempdir().expect("a folder");
        let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/probes/built/tcp.wasm");
        std::fs::copy(probe, folder.path().join("mine.wasm")).expect("a component");
        let text = format!(
            "lifecycle = \"shared\"\nimage = \"x\"\n{top}\n[interface]\nkind = \"port\"\nport = 80\n\
             [readiness]\n{readiness}\n"
        );
        std::fs::write(folder.path().join("db.toml"), text).expect("a definition");
        let user = Some(folder.path().to_owned());
        let mut loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
        let definition = loaded.definitions.pop().unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let found = definition
            .readiness
            .iter()
            .map(|readiness| find(&definition, readiness, &ProbeFolders::default()).expect("found"));
        let probes = found.collect();
        let sidecar = Sidecar::new(definition, &Scopes::default());
        let approval = Approval::Missing;
        Statement::of(
            &ResolvedSidecar { sidecar, program: None, image_id: None, probes, approval },
            &Held::default(),
        )
    }

    #[test]
    fn says_what_holds_and_not_only_what_is_written() {
        const TCP: &str = "probe = \"tcp\"";
        const MINE: &str = "probe = \"./mine.wasm\"\ngrants.dial = [\"self\"]";
        for (top, readiness, label, text) in [
            ("", TCP, "image", "docker.io/library/x:latest"),
            ("", TCP, "entrypoint", "the image's own"),
            ("entrypoint = []", TCP, "entrypoint", "the image's own"),
            ("entrypoint = []", TCP, "command", "the image's own"),
            ("entrypoint = [\"a b\"]", TCP, "entrypoint", "[\"a b\"]"),
            ("entrypoint = [\"a b\"]", TCP, "command", "none"),
            ("command = [\"a\", \"b\"]", TCP, "command", "[\"a\",\"b\"]"),
            ("env = { A = 1.0 }", TCP, "env A", "\"1.0\""),
            ("resources.memory = \"64m\"", TCP, "memory", "at most 64 MiB"),
            ("resources.memory = 6291457", TCP, "memory", "at most 6291457 bytes"),
            ("stop_signal = 2", TCP, "stop signal", "SIGINT"),
            ("stop_timeout = \"90s\"", TCP, "stop timeout", "1m 30s"),
            (
                "mounts = [\"docker-socket:ro\"]",
                TCP,
                "mounts",
                "the engine's socket, read-only: whoever can use it controls this machine even so",
            ),
            ("networks = [\"n\"]", TCP, "networks", "the harness's, and [\"n\"]"),
            ("", TCP, "reached", "at port 80, as db"),
            ("", TCP, "readiness: probe", "tcp, which ships with farrier"),
            ("", TCP, "readiness: time", "30s from the start, at most 1m"),
            ("", MINE, "readiness: may connect to", "this sidecar at port 80"),
            (
                "",
                "probe = \"http\"\nsettings.port = 81\ngrants.dial = [\"self:81\"]",
                "readiness: may connect to",
                "this sidecar at port 81",
            ),
            ("", MINE, "readiness: limits", "64 MiB of memory, 2s a poll"),
        ] {
            let statement = statement(top, readiness);
            let found = statement.lines.iter().find(|line| line.label == label);
            assert_eq!(found.map(|line| line.text.as_str()), Some(text), "{top} {readiness}: {statement:?}");
        }
    }

    #[test]
    fn a_built_in_probe_at_the_declared_port_is_granted_nothing_more() {
        for settings in ["", "settings.port = 80"] {
            let statement = statement("", &format!("probe = \"tcp\"\n{settings}"));
            assert!(statement.lines.iter().all(|line| !line.label.contains("may")), "{statement:?}");
        }
    }

    #[test]
    fn every_grant_is_named() {
        let grants = "grants = { dial = [\"self\", \"self:81\"], exec = [[\"a\", \"b c\"], [\"d\"]], \
                      health = true, logs = true, env = [\"A\"] }\nsettings = { port = 81 }";
        let statement = statement("env = { A = \"1\" }", &format!("probe = \"./mine.wasm\"\n{grants}"));
        let text = |label: &str| {
            let label = format!("readiness: {label}");
            let found = statement.lines.iter().find(|line| line.label == label);
            found.map(|line| line.text.clone()).unwrap_or_default()
        };
        assert_eq!(text("may connect to"), "this sidecar at port 80; this sidecar at port 81");
        assert_eq!(text("may run in the container"), "[\"a\",\"b c\"]; [\"d\"]");
        assert_eq!(text("may use its health"), "the engine's status, and the image's own test");
        assert_eq!(text("may read its log"), "since the container's start");
        assert_eq!(text("may read from env"), "A");
        assert_eq!(text("settings"), "{\"port\":81}");
        assert!(text("probe").starts_with("./mine.wasm, "), "{statement:?}");
    }

    #[test]
    fn nothing_that_may_be_a_password_is_kept() {
        let statement = statement("env = { A = \"hunter2\" }", "probe = \"tcp\"");
        let record = statement.record("salt");
        assert!(!format!("{record:?}").contains("hunter2"), "{record:?}");
        assert_eq!(statement.changes("salt", &record), []);
        let hidden = || Some("another value, which farrier does not store".to_owned());
        let change = |label: &str, approved, now: Option<&str>| Change {
            label: label.to_owned(),
            approved,
            now: now.map(str::to_owned),
        };
        let other = self::statement("env = { A = \"other\" }", "probe = \"tcp\"");
        assert_eq!(other.changes("salt", &record), [change("env A", hidden(), Some("\"other\""))]);
        let none = self::statement("", "probe = \"tcp\"");
        assert_eq!(
            none.changes("salt", &record),
            [change("env", None, Some("the image's own")), change("env A", hidden(), None)]
        );
    }
}
