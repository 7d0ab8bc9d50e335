//! What the commands for probes in registries share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use etcetera::base_strategy::Xdg;

use super::{Chosen, Origin};
use crate::cli::options::LayerOptions;
use crate::cli::runtime::CommandRuntime;
use crate::cli::settings::{layer_directories, of_this_process, policy_files};
use crate::definition::{
    self, ARTIFACT_FORM, ArtifactReference, Definition, LayerDirectories, ReadingBudget,
    in_the_files_language,
};
use crate::engine::kinds;
use crate::preparation::policy::Policies;
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::lock::ProbeLock;
use crate::probe::artifacts::transfer::Registries;
use crate::probe::artifacts::{Pin, fetch_named, references};
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;

/// A reference on the command line.
pub fn reference(text: &str) -> Result<ArtifactReference, Problem> {
    ArtifactReference::parse(text).map_err(|reason| {
        let message = format!("`{}` is not a reference to a probe in a registry: {reason}", escape(text));
        Problem::error(Code::Usage, message).hint(ARTIFACT_FORM)
    })
}

/// A reference on the command line to a probe that a command downloads or runs, if every policy permits it.
///
/// # Errors
/// If it is no reference, a policy refuses it, or a policy cannot be used.
pub fn permitted_reference(text: &str, layers: &LayerOptions) -> Result<ArtifactReference, Failure> {
    let reference = reference(text)?;
    let refusals = policies_of(layers)?.reference_refusals(&reference);
    if refusals.is_empty() { Ok(reference) } else { Err(Failure::of(refusals)) }
}

/// The policies that bound the commands for probes.
///
/// # Errors
/// Everything that is wrong with a policy.
pub fn policies_of(layers: &LayerOptions) -> Result<Policies, Failure> {
    let trees = || layer_directories(layers).working_trees;
    Policies::read(&policy_files(Xdg::new().ok().as_ref()), &trees).map_err(Failure::of)
}

/// The registries, with this user's credentials.
pub fn registries() -> Registries {
    let settings = of_this_process();
    Registries::new(settings.map(|settings| kinds::registries(&settings.environment)).unwrap_or_default())
}

/// The definitions of all layers, if every policy permits the registries of their probes.
///
/// # Errors
/// Everything that is wrong with them, and everything that a policy refuses.
pub fn definitions(layers: &LayerOptions) -> Result<(LayerDirectories, Vec<Definition>), Failure> {
    let directories = layer_directories(layers);
    let loaded = definition::load(&directories);
    let mut errors: Vec<Problem> = loaded.problems.into_iter().filter(Problem::is_error).collect();
    let policies = policies_of(layers)?;
    for definition in &loaded.definitions {
        errors.extend(policies.registry_refusals(definition).into_iter().map(in_the_files_language));
    }
    if errors.is_empty() { Ok((directories, loaded.definitions)) } else { Err(Failure::of(errors)) }
}

/// A folder of definitions that name probes by tags, without a pin of their own.
pub struct TaggedFolder {
    /// The folder.
    pub path: PathBuf,
    /// The folder itself, opened before anybody else is asked for anything: what has its name later may be another folder.
    pub opened: Dir,
    /// Its `probes.lock`.
    pub lock: ProbeLock,
    /// The references, each with the sidecars that name it.
    pub references: BTreeMap<ArtifactReference, BTreeSet<String>>,
}

/// The definitions that name a probe in a registry, of all sidecars or of those with these names.
///
/// # Errors
/// If a name is no sidecar's.
pub fn chosen_definitions(
    definitions: Vec<Definition>,
    names: &[String],
) -> Result<Vec<Definition>, Failure> {
    let unknown = names.iter().filter(|name| definitions.iter().all(|definition| definition.name != **name));
    let unknown: Vec<Problem> = unknown
        .map(|name| {
            let message = format!("no definition declares the sidecar `{}`", escape(name));
            Problem::error(Code::SidecarNotFound, message)
                .hint("List the definitions with `farrier validate`.")
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Failure::of(unknown));
    }
    let is_chosen = |definition: &Definition| names.is_empty() || names.contains(&definition.name);
    Ok(definitions.into_iter().filter(is_chosen).collect())
}

/// The folders of these definitions.
///
/// # Errors
/// If a lock cannot be used.
pub fn tagged_folders(
    definitions: &[Definition],
    budget: &ReadingBudget,
) -> Result<Vec<TaggedFolder>, Failure> {
    let mut folders: BTreeMap<PathBuf, TaggedFolder> = BTreeMap::new();
    for definition in definitions {
        for (readiness, reference) in references(definition) {
            if Pin::of_definition(readiness, reference).is_some() {
                continue;
            }
            let path = definition.folder().to_owned();
            if !folders.contains_key(&path) {
                let lock = ProbeLock::beside(definition, budget)?;
                let opened = definition.open_folder_beside(Path::new(".")).map_err(|error| {
                    let message = format!("the folder {} cannot be opened: {error}", path.display());
                    Problem::error(Code::ProbeLockUnusable, message).hint("Check who may read it.")
                })?;
                let folder = TaggedFolder { path: path.clone(), opened, lock, references: BTreeMap::new() };
                folders.insert(path.clone(), folder);
            }
            if let Some(folder) = folders.get_mut(&path) {
                folder.references.entry(reference.clone()).or_default().insert(definition.name.clone());
            }
        }
    }
    Ok(folders.into_values().collect())
}

/// A tag that its definition pins itself.
pub struct PinnedTag<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// The reference by its tag alone.
    pub by_tag: ArtifactReference,
    /// The pin.
    pub pin: Pin,
}

/// The tags that definitions pin themselves.
pub fn pinned_tags(definitions: &[Definition]) -> Vec<PinnedTag<'_>> {
    let each = definitions.iter().flat_map(|definition| {
        references(definition).filter_map(move |(readiness, reference)| {
            let pin = Pin::of_definition(readiness, reference)?;
            Some(PinnedTag { definition, by_tag: reference.by_tag()?, pin })
        })
    });
    each.collect()
}

/// What is printed where nothing is to be done.
pub const NOTHING_TAGGED: &str = "No definition names a probe in a registry by a tag.\n";

/// The probe that a reference on the command line means now.
pub fn chosen(text: &str, layers: &LayerOptions) -> Result<Chosen, Failure> {
    let reference = permitted_reference(text, layers)?;
    let (registries, cache) = (registries(), ArtifactCache::of_user());
    let fetched = fetch_named(&registries, &cache, &reference);
    let (pinned, file) = CommandRuntime::start()?.run_alone(async { Ok(fetched.await?) })?;
    Ok(Chosen { name: pinned.to_string(), file, origin: Origin::Registry })
}
