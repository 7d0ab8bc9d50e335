//! The definition that `probe check` takes settings, grants, limits and timeouts from.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::{Chosen, Origin};
use crate::definition::model::{Definition, ProbeReference, Readiness};
use crate::definition::{self, LayerDirectories};
use crate::probe::catalogue;
use crate::probe::folders::ProbeFolders;
use crate::readiness::dry_run::{Address, Stand};
use crate::report::error::{Code, Failure, Problem};

/// A definition, and the one of its readiness conditions that is tried.
pub struct Declared {
    pub definition: Definition,
    pub readiness: Readiness,
}

impl Declared {
    /// Reads the file as one of the user's definitions. Of several conditions the one counts that names this probe.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn read(file: &Path, probe: Option<&OsStr>) -> Result<Self, Failure> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directories = LayerDirectories { user: Some(folder.to_owned()), ..LayerDirectories::default() };
        let loaded = definition::load(&directories);
        let is_file = |path: &Path| path.file_name() == file.file_name();
        let mut problems = loaded.problems;
        problems.extend(definition::refusals(&loaded.definitions));
        problems.retain(|problem| {
            problem.is_error() && problem.place.as_ref().is_some_and(|place| is_file(&place.source.path))
        });
        if !problems.is_empty() {
            return Err(Failure::of(problems));
        }
        let mut definitions = loaded.definitions.into_iter();
        let definition =
            definitions.find(|definition| is_file(&definition.source.path)).ok_or_else(|| {
                Problem::error(Code::Usage, format!("`--definition {}` names no definition", file.display()))
                    .hint("Name a file that ends in .toml or .yaml and declares a sidecar.")
            })?;
        let readiness = condition(&definition, probe)?.clone();
        Ok(Self { definition, readiness })
    }

    /// A stand-in for the sidecar, with the sidecar's name and port, at the address from `--target`.
    pub fn stand(&self, target: &Address) -> Stand {
        let port = self.definition.port().unwrap_or(target.port);
        Stand { own: Address { host: self.definition.name.clone(), port }, target: target.clone() }
    }

    /// The probe that the definition names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn probe(&self, directories: &LayerDirectories) -> Result<Chosen, Failure> {
        let folders = ProbeFolders::of(directories);
        let found = catalogue::find(&self.definition, &self.readiness, &folders).map_err(Failure::of)?;
        let origin = match &self.readiness.probe {
            _ if found.built_in => Origin::Shipped,
            ProbeReference::Named(name) => Origin::File(name.into()),
            ProbeReference::File(path) => Origin::File(path.clone()),
            ProbeReference::Artifact(_) => Origin::Registry,
        };
        Ok(Chosen { name: found.name, file: Arc::unwrap_or_clone(found.component), origin })
    }
}

/// The condition that is tried.
fn condition<'d>(definition: &'d Definition, probe: Option<&OsStr>) -> Result<&'d Readiness, Failure> {
    if let [only] = definition.readiness.as_slice() {
        return Ok(only);
    }
    let file = |path: &Path| path.file_name().map(OsStr::to_owned);
    let is_named = |readiness: &&Readiness| match (&readiness.probe, probe) {
        (ProbeReference::Named(name), Some(probe)) => OsStr::new(name) == probe,
        (ProbeReference::File(path), Some(probe)) => file(path) == file(Path::new(probe)),
        (ProbeReference::Artifact(reference), Some(probe)) => *probe == *reference.to_string(),
        (_, None) => false,
    };
    let mut named = definition.readiness.iter().filter(is_named);
    if let (Some(one), None) = (named.next(), named.next()) {
        return Ok(one);
    }
    let probes: Vec<String> =
        definition.readiness.iter().map(|readiness| format!("`{}`", readiness.probe)).collect();
    let message = format!("`{}` has several readiness conditions: {}", definition.name, probes.join(", "));
    Err(Problem::error(Code::Usage, message)
        .hint("Name the probe of one of them before `--definition`.")
        .into())
}
