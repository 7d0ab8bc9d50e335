//! What an engine can do, known before anything is asked of it, so that a definition that needs more is refused before any
//! call.

use crate::definition::model::{BoundKind, Lifecycle, Mount};
use crate::definition::{Definition, Interface, KEYS, names_one_node};
use crate::report::error::{Code, Problem};
use crate::report::quoted::bytes;

/// What an engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub struct Capabilities {
    /// The engine's kind, as people name it: `docker`.
    pub kind: &'static str,
    /// What it is called: `Docker`. Another product may answer in its place, as [`super::Engine::product`] tells.
    pub product: &'static str,
    /// Runs images that are named by a reference.
    pub images: bool,
    /// Runs images that lie in files of this host.
    pub image_files: bool,
    /// Runs programs of this host.
    pub programs: bool,
    /// Executes commands in what it runs.
    pub exec: Availability,
    /// Keeps what instances write.
    pub logs: bool,
    /// Tests the health of what it runs.
    pub health: Availability,
    /// What it runs has network interfaces of its own, on which nobody else listens.
    pub own_network: bool,
    /// What it runs of images finds other sidecars by their names.
    pub resolves_names: bool,
    /// It has a socket by which what it runs can use it.
    pub has_socket: bool,
    /// What it runs can use of this host's files and folders.
    pub host_files: HostFiles,
    /// Keeps volumes that definitions name.
    pub volumes: Availability,
    /// Has several nodes, among which definitions choose.
    pub nodes: bool,
    /// Runs sidecars that belong to one launch, on a network of its own.
    pub sessions: bool,
    /// The keys of a definition that it carries out; `None` if it says so only when it is asked.
    pub keys: Option<KnownKeys>,
}

/// What an engine gives of this host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFiles {
    /// Nothing.
    None,
    /// Copies of files of at most so many bytes, to which nothing writes.
    Copies(u64),
    /// All files and folders.
    All,
}

/// For which sidecars an engine does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// For none.
    Nowhere,
    /// For those whose definitions name the node that runs them.
    OnNamedNode,
    /// For all.
    Everywhere,
}

/// The names of the keys that an engine carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKeys {
    /// Of a program of this host.
    pub of_programs: &'static [&'static str],
    /// Of an image.
    pub of_images: &'static [&'static str],
}

/// What a probe may need an engine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineFeature {
    /// Commands are executed in the sidecar.
    Exec,
    /// What the sidecar writes is read.
    Logs,
    /// The status of the image's health test is read, or the test is executed.
    Health,
}

impl EngineFeature {
    /// Whether it executes something in the container, which costs the engine much.
    #[must_use]
    pub const fn executes(self) -> bool {
        matches!(self, Self::Exec | Self::Health)
    }
}

impl Capabilities {
    /// Why an engine that can do no more cannot run this definition, whose probes need this of it, each by its name.
    #[must_use]
    pub fn refusals(&self, definition: &Definition, needed: &[(String, Vec<EngineFeature>)]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, what: String, way_out: String| {
            problems.push(
                Problem::error(Code::EngineLacks, format!("the engine `{}` {what}", self.kind))
                    .of(definition.name.clone())
                    .at(definition.place(field))
                    .hint(way_out),
            );
        };
        // An engine that the definition itself names is not chosen by an option.
        let is_named = definition.container.engine.is_some_and(|name| name.as_str() == self.kind);
        let way = if is_named { "Remove the key `engine`" } else { "Use `--engine auto`" };
        match definition.image_file() {
            Some(_) if !self.image_files => refuse(
                "image",
                "runs no images from files".to_owned(),
                format!("{way}, or load the image into the engine, and name it by its reference."),
            ),
            None if definition.image.is_some() && !self.images => refuse(
                "image",
                "runs no images by reference".to_owned(),
                "Copy the image into a folder beside the definition, for example with `skopeo copy docker://NAME oci:FOLDER`, \
                 and write `image = \"oci:./FOLDER\"`; or run the sidecar on an engine such as `docker`."
                    .to_owned(),
            ),
            _ => {}
        }
        if definition.container.program.is_some() && !self.programs {
            refuse(
                "program",
                "runs no programs on this host".to_owned(),
                format!("{way}, or name an `image`."),
            );
        }
        let is_program = definition.container.program.is_some();
        // Of a program that it does not run at all, that is said already.
        if let Some(known) = self.keys.filter(|_| self.programs || !is_program) {
            let known = if is_program { known.of_programs } else { known.of_images };
            let unknown = KEYS.iter().filter(|key| !known.contains(&key.name));
            for key in unknown.filter(|key| key.is_declared(&definition.container)) {
                refuse(
                    key.path,
                    format!("does not support `{}`", key.path),
                    "Remove the setting if the sidecar can run without it.".to_owned(),
                );
            }
        }
        for (what, way_out) in self.refused_mounts(definition) {
            refuse("mounts", what, way_out.to_owned());
        }
        if !self.nodes && self.keys.is_none() && !definition.container.placement.is_empty() {
            refuse(
                "placement",
                "has no nodes to choose among".to_owned(),
                "Remove the setting, or run the sidecar on the engine `swarm`.".to_owned(),
            );
        }
        if !self.sessions && definition.lifecycle == Lifecycle::Session {
            refuse(
                "lifecycle",
                "runs no sidecars that belong to one launch".to_owned(),
                "Write `lifecycle = \"shared\"`, or run the sidecar on an engine such as `docker`."
                    .to_owned(),
            );
        }
        let has_aliases =
            matches!(&definition.interface, Interface::Port { aliases, .. } if !aliases.is_empty());
        let is_program = definition.container.program.is_some();
        if has_aliases && (!self.resolves_names || (is_program && !self.own_network)) {
            let what = if is_program { "programs" } else { "sidecars" };
            refuse(
                "interface.aliases",
                format!("gives {what} no names on a network"),
                "Remove the names: the harness reaches the sidecar through the variables with its host and port."
                    .to_owned(),
            );
        }
        for (index, (probe, needed)) in needed.iter().enumerate() {
            let missing = needed.iter().filter_map(|feature| self.lacks(definition, *feature));
            for (what, way_out) in missing {
                let field = definition.readiness.get(index).map_or("readiness", |found| found.field.as_str());
                refuse(
                    &format!("{field}.probe"),
                    format!("{what}, which the probe `{probe}` needs"),
                    way_out.to_owned(),
                );
            }
        }
        problems
    }

    /// What the engine cannot mount, in words, with the way out.
    fn refused_mounts(&self, definition: &Definition) -> Vec<(String, &'static str)> {
        let mounts = &definition.container.mounts;
        let has = |is_such: fn(&Mount) -> bool| mounts.iter().any(is_such);
        let mut refused = Vec::new();
        if !self.has_socket && has(Mount::is_engine_socket) {
            refused.push((
                "has no socket that a sidecar could use".to_owned(),
                "Remove `docker-socket` from `mounts`, or run the sidecar on an engine such as `docker`.",
            ));
        }
        if has(|mount| matches!(mount, Mount::Volume { .. })) {
            refused.extend(self.refused_volume(definition));
        }
        refused.extend(mounts.iter().filter_map(|mount| self.refused_file(mount)));
        refused
    }

    fn refused_volume(&self, definition: &Definition) -> Option<(String, &'static str)> {
        match self.volumes {
            Availability::Everywhere => None,
            Availability::OnNamedNode if names_one_node(&definition.container.placement) => None,
            Availability::OnNamedNode => Some((
                "keeps a volume on one node, and moves what it runs to others".to_owned(),
                "Name the node of the data: `placement = [\"node.id == ID\"]`, with the ID that `docker node ls` prints.",
            )),
            Availability::Nowhere => Some((
                "keeps no volumes".to_owned(),
                "Run the sidecar on an engine such as `docker`, or remove the volume if it can run without its data.",
            )),
        }
    }

    fn refused_file(&self, mount: &Mount) -> Option<(String, &'static str)> {
        const WAY_OUT: &str =
            "Put the files into the image, or run the sidecar on an engine such as `docker`.";
        let (source, writable, bound) = match mount {
            Mount::Workspace { .. } => ("the workspace".to_owned(), true, None),
            Mount::Bind { source, writable, bound, .. } => (format!("`{source}`"), *writable, bound.as_ref()),
            _ => return None,
        };
        let most = match self.host_files {
            HostFiles::All => return None,
            HostFiles::None => {
                let what = "runs sidecars on other hosts, which do not have this host's files";
                return Some((what.to_owned(), WAY_OUT));
            }
            HostFiles::Copies(most) => most,
        };
        let reason = match bound.map(|bound| bound.kind) {
            Some(BoundKind::File { .. }) if writable => "is mounted writable".to_owned(),
            Some(BoundKind::File { size, .. }) if size > most => format!("has {}", bytes(size)),
            // A config of a Swarm has content.
            Some(BoundKind::File { size: 0, .. }) => "is empty".to_owned(),
            Some(BoundKind::File { .. }) => return None,
            Some(BoundKind::Other) => "is no file".to_owned(),
            Some(BoundKind::Folder) | None => "is a folder".to_owned(),
        };
        let what = format!(
            "gives sidecars only copies of files of up to {}, mounted with `:ro`, and {source} {reason}",
            bytes(most)
        );
        Some((what, WAY_OUT))
    }

    /// In words, what a probe needs and the engine cannot do, with the way out.
    fn lacks(&self, definition: &Definition, feature: EngineFeature) -> Option<(&'static str, &'static str)> {
        const ELSEWHERE: &str = "Use another probe, or run the sidecar on another engine.";
        const NAME_THE_NODE: &str = "Name the node of the manager that farrier uses, or use another probe: \
            `placement = [\"node.id == ID\"]`, with the ID that `docker info --format '{{.Swarm.NodeID}}'` prints.";
        let logs = if self.logs { Availability::Everywhere } else { Availability::Nowhere };
        // What has no image has no health test of its own.
        let health = if definition.container.program.is_some() { Availability::Nowhere } else { self.health };
        let (available, never, elsewhere) = match feature {
            EngineFeature::Exec => (
                self.exec,
                "executes no commands in sidecars",
                "executes commands only in sidecars on its manager's own node",
            ),
            EngineFeature::Logs => (logs, "keeps no logs", "keeps no logs"),
            EngineFeature::Health => (
                health,
                "runs no health tests",
                "tests the health only of sidecars on its manager's own node",
            ),
        };
        match available {
            Availability::Everywhere => None,
            Availability::OnNamedNode if names_one_node(&definition.container.placement) => None,
            Availability::OnNamedNode => Some((elsewhere, NAME_THE_NODE)),
            Availability::Nowhere => Some((never, ELSEWHERE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kinds::EngineKind;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/engines.md");
    const BEGIN: &str = "<!-- Generated: UPDATE_DOCS=1 cargo test --lib the_page_of_engines -->\n";
    const END: &str = "<!-- End of what is generated -->\n";

    fn yes(can: bool) -> String {
        (if can { "yes" } else { "no" }).to_owned()
    }

    fn where_available(available: Availability) -> String {
        let text = match available {
            Availability::Nowhere => "no",
            Availability::OnNamedNode => "if `placement` names the node",
            Availability::Everywhere => "yes",
        };
        text.to_owned()
    }

    fn files(files: HostFiles) -> String {
        match files {
            HostFiles::None => "no".to_owned(),
            HostFiles::Copies(most) => format!("copies of files of up to {}", bytes(most)),
            HostFiles::All => "yes".to_owned(),
        }
    }

    /// What a row says of an engine.
    type Tells = fn(&Capabilities) -> String;

    /// Every capability but the keys, which the page of definitions tells.
    const ROWS: [(&str, Tells); 14] = [
        ("images from registries", |engine| yes(engine.images)),
        ("images in files", |engine| yes(engine.image_files)),
        ("programs on this host", |engine| yes(engine.programs)),
        ("probes execute commands", |engine| where_available(engine.exec)),
        ("probes read the health test of an image", |engine| where_available(engine.health)),
        ("probes read logs", |engine| yes(engine.logs)),
        ("a network of their own", |engine| yes(engine.own_network)),
        ("names on that network", |engine| yes(engine.resolves_names)),
        ("named volumes", |engine| where_available(engine.volumes)),
        ("files and folders of this host", |engine| files(engine.host_files)),
        ("the engine's socket in a sidecar", |engine| yes(engine.has_socket)),
        ("several nodes (`placement`)", |engine| yes(engine.nodes)),
        ("`lifecycle = \"session\"`", |engine| yes(engine.sessions)),
        ("every key of a definition", |engine| yes(engine.keys.is_none())),
    ];

    fn table() -> String {
        let kinds = EngineKind::ALL.map(EngineKind::capabilities);
        let names: Vec<String> = kinds.iter().map(|engine| format!("`{}`", engine.kind)).collect();
        let mut table =
            format!("| sidecars have | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(kinds.len()));
        for (what, tells) in ROWS {
            let told: Vec<String> = kinds.iter().map(tells).collect();
            table.push_str(&format!("| {what} | {} |\n", told.join(" | ")));
        }
        table
    }

    #[test]
    fn the_page_of_engines() {
        let committed = std::fs::read_to_string(PAGE).expect("the page");
        let (before, rest) = committed.split_once(BEGIN).expect("where the table begins");
        let (_, after) = rest.split_once(END).expect("where the table ends");
        let now = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
        if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
            std::fs::write(PAGE, &now).expect("written");
            return;
        }
        let how = "generate it with `UPDATE_DOCS=1 cargo test --lib the_page_of_engines`";
        assert!(committed == now, "docs/engines.md is out of date: {how}");
    }
}
