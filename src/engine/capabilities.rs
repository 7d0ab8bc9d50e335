//! What an engine can do, known before anything is asked of it, so that a definition that needs more is refused before any
//! call.

use crate::definition::model::Mount;
use crate::definition::{Definition, Interface, KEYS};
use crate::report::error::{Code, Problem};

/// What an engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub struct Capabilities {
    /// The engine's kind, as people name it: `docker`.
    pub kind: &'static str,
    /// What it is called: `Docker`.
    pub product: &'static str,
    /// Runs images that are named by a reference.
    pub images: bool,
    /// Runs images that lie in files of this host.
    pub image_files: bool,
    /// Runs programs of this host.
    pub programs: bool,
    /// Executes commands in what it runs.
    pub exec: bool,
    /// Keeps what instances write.
    pub logs: bool,
    /// Tests the health of what it runs.
    pub health: bool,
    /// What it runs has network interfaces of its own, on which nobody else listens.
    pub own_network: bool,
    /// What it runs of images finds other sidecars by their names.
    pub resolves_names: bool,
    /// It has a socket by which what it runs can use it.
    pub has_socket: bool,
    /// The keys of a definition that it carries out; `None` if it says so only when it is asked.
    pub keys: Option<KnownKeys>,
}

/// The names of the keys that an engine carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKeys {
    /// Of a program of this host.
    pub of_programs: &'static [&'static str],
    /// Of an image.
    pub of_images: &'static [&'static str],
}

impl Capabilities {
    /// Why an engine that can do no more cannot run this definition, whose readiness needs these of a probe's interfaces.
    #[must_use]
    pub fn refusals(
        &self,
        definition: &Definition,
        interfaces: &[(String, Vec<&'static str>)],
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, what: String, way_out: String| {
            problems.push(
                Problem::error(Code::EngineLacks, format!("the engine `{}` {what}", self.kind))
                    .of(definition.name.clone())
                    .at(definition.place(field))
                    .hint(way_out),
            );
        };
        match definition.image_file() {
            Some(_) if !self.image_files => refuse(
                "image",
                "runs no images from files".to_owned(),
                "Use `--engine auto`, or load the image into the engine, and name it by its reference."
                    .to_owned(),
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
                "Use `--engine auto`, or name an `image`.".to_owned(),
            );
        }
        if let Some(known) = self.keys {
            let is_program = definition.container.program.is_some();
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
        let mounts = &definition.container.mounts;
        if !self.has_socket && mounts.iter().any(|mount| matches!(mount, Mount::DockerSocket { .. })) {
            refuse(
                "mounts",
                "has no socket that a sidecar could use".to_owned(),
                "Remove `docker-socket` from `mounts`, or run the sidecar on an engine such as `docker`."
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
        for (index, (probe, needed)) in interfaces.iter().enumerate() {
            let missing = needed.iter().filter_map(|interface| self.lacks(definition, interface));
            for what in missing {
                let field = definition.readiness.get(index).map_or("readiness", |found| found.field.as_str());
                refuse(
                    &format!("{field}.probe"),
                    format!("{what}, which the probe `{probe}` needs"),
                    "Use another probe, or run the sidecar on another engine.".to_owned(),
                );
            }
        }
        problems
    }

    /// In words, what a probe's interface needs and the engine cannot do.
    fn lacks(&self, definition: &Definition, interface: &str) -> Option<&'static str> {
        // What has no image has no health test of its own.
        let has_health = self.health && definition.container.program.is_none();
        match interface {
            "exec" if !self.exec => Some("executes no commands in sidecars"),
            "logs" if !self.logs => Some("keeps no logs"),
            "health" if !has_health => Some("runs no health tests"),
            _ => None,
        }
    }
}
