//! The four layers: found, read, decoded, merged and checked against each other.

mod folder;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::folder::{Candidate, Folder};
use self::merge::merge;
use super::decode::{Declaration, decode};
use super::dialect::in_the_files_language;
use super::interpolation::interpolate;
use super::model::{Definition, Disablement, Layer};
use super::variables::Variables;
use super::{ReadingBudget, budget, read, rules};
use crate::definition::working_trees::WorkingTrees;
use crate::report::error::{Code, Place, Problem, Source};

/// How many problems of one file are kept.
const MOST_PROBLEMS: usize = 100;

/// Where the layers are.
#[derive(Clone, Debug, Default)]
pub struct LayerDirectories {
    /// The user's own definitions.
    pub user: Option<PathBuf>,
    /// The organisation's.
    pub org: Option<PathBuf>,
    /// The repository's.
    pub repo: Option<PathBuf>,
    /// The workspace's.
    pub workspace: Option<PathBuf>,
    /// The resolved root of the workspace.
    pub workspace_root: Option<PathBuf>,
    /// What reading all of them, and what they name, may take.
    pub budget: Arc<ReadingBudget>,
    /// What is being worked on, the workspace included: definitions that lie in it are not trusted.
    pub working_trees: WorkingTrees,
}

impl LayerDirectories {
    const fn of(&self, layer: Layer) -> Option<&PathBuf> {
        match layer {
            Layer::User => self.user.as_ref(),
            Layer::Org => self.org.as_ref(),
            Layer::Repo => self.repo.as_ref(),
            Layer::Workspace => self.workspace.as_ref(),
        }
    }
}

/// What was found in one layer directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerReport {
    /// The layer that it counts for: the workspace's where it lies inside the workspace.
    pub layer: Layer,
    /// The layer whose option named it.
    pub given_as: Layer,
    /// As it was named.
    pub directory: PathBuf,
    /// Whether it exists.
    pub present: bool,
    /// How many definition files it holds.
    pub files: usize,
}

/// Everything that the layers say.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Each directory that was named, from the lowest layer to the highest.
    pub layers: Vec<LayerReport>,
    /// The merged definitions that are whole, by name.
    pub definitions: Vec<Definition>,
    /// The trusted sidecars that the workspace disables, by name.
    pub disabled: Vec<Disablement>,
    /// All problems of all files, by file and line.
    pub problems: Vec<Problem>,
}

/// Reads all layers. Problems are collected, also those of definitions that another layer replaces.
#[must_use]
pub fn load(directories: &LayerDirectories) -> Loaded {
    let mut loaded = Loaded::default();
    let mut seen: Vec<(Layer, PathBuf)> = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    for given_as in Layer::ALL {
        let Some(directory) = directories.of(given_as) else {
            continue;
        };
        let opened = folder::open(given_as, directory, &directories.working_trees, &directories.budget);
        let (present, layer, files) = match opened {
            Ok(None) => (false, given_as, 0),
            Ok(Some(folder)) => {
                let Folder { layer, resolved, candidates: files, problems } = folder;
                loaded.problems.extend(problems);
                loaded.problems.extend(same_stems(&files));
                let count = files.len();
                // Two options may name one directory of the workspace: its files count once.
                if !seen.contains(&(layer, resolved.clone())) {
                    seen.push((layer, resolved));
                    candidates.extend(files);
                }
                (true, layer, count)
            }
            Err(problem) => {
                loaded.problems.push(problem);
                (true, given_as, 0)
            }
        };
        let directory = directory.clone();
        loaded.layers.push(LayerReport { layer, given_as, directory, present, files });
    }
    if !candidates.is_empty() {
        // Stable: within a layer the order of options and of file names stays.
        candidates.sort_by_key(|candidate| candidate.layer);
        let merged = merge(&candidates, &directories.budget, &mut loaded.problems);
        (loaded.definitions, loaded.disabled) = (merged.definitions, merged.disabled);
        for definition in &mut loaded.definitions {
            loaded.problems.extend(definition.read_files(&directories.budget));
        }
        rules::check(&loaded.definitions, &merged.broken, &mut loaded.problems);
    }
    budget::tell_once(&mut loaded.problems);
    loaded.problems = told(loaded.problems);
    loaded
}

/// What one source says alone, read as a file of a layer. The files that it names are not read.
#[must_use]
pub fn of_source(source: &Arc<Source>, layer: Layer) -> Loaded {
    let (path, access) = (source.path.clone(), read::Access::default());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let candidate = Candidate { path, stem, layer, access };
    let mut loaded = Loaded::default();
    let budget = ReadingBudget::default();
    if let Some(Declaration::Sidecar(definition)) =
        declared(&candidate, source, &budget, &mut loaded.problems)
    {
        loaded.definitions = vec![*definition];
    }
    rules::check(&loaded.definitions, &[], &mut loaded.problems);
    loaded.problems = told(loaded.problems);
    loaded
}

/// In order, each once, and no more than anybody reads.
pub(crate) fn told(problems: Vec<Problem>) -> Vec<Problem> {
    if problems.is_empty() {
        return problems;
    }
    let mut problems: Vec<Problem> = problems.into_iter().map(in_the_files_language).collect();
    problems.sort_by_cached_key(position);
    problems.dedup();
    limited(&problems)
}

/// Keeps what a reader can use of each file, and says how much more there is: a hostile file could hold a
/// problem on each of a hundred thousand lines.
fn limited(problems: &[Problem]) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len().min(1024));
    for of_one_file in problems.chunk_by(|one, other| file(one) == file(other)) {
        let (shown, rest) = of_one_file.split_at_checked(MOST_PROBLEMS).unwrap_or((of_one_file, &[]));
        kept.extend(shown.iter().cloned());
        let Some(first) = rest.first() else { continue };
        let message = format!("the file has {} more problems, which are not shown", rest.len());
        let summary = match rest.iter().find(|problem| problem.is_error()) {
            Some(error) => Problem::error(error.code, message),
            None => Problem::warning(first.code, message),
        };
        kept.push(
            Problem { place: first.place.clone(), sidecar: first.sidecar.clone(), ..summary }
                .hint("Correct the problems above first."),
        );
    }
    kept
}

fn file(problem: &Problem) -> Option<&Path> {
    problem.place.as_ref().map(|place| place.source.path.as_path())
}

fn position(problem: &Problem) -> (PathBuf, usize, usize, Code) {
    let place = problem.place.as_ref();
    let path = place.map(|place| place.source.path.clone()).unwrap_or_default();
    let (start, end) = place.map(|place| (place.span.start, place.span.end)).unwrap_or_default();
    (path, start, end, problem.code)
}

/// Two files of one directory for one name: between `.yaml` and `.yml` the Python launcher's rule holds (the
/// later wins), and said; TOML beside YAML has no rule.
fn same_stems(files: &[Candidate]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_stem: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for file in files {
        by_stem.entry(&file.stem).or_default().push(file);
    }
    for (stem, same) in by_stem {
        let [earlier @ .., last] = same.as_slice() else {
            continue;
        };
        let Some(first) = earlier.first() else { continue };
        let message = format!("{} defines `{stem}` as well", file_name(&first.path));
        let problem = if same.iter().any(|file| file.is_toml()) {
            Problem::error(Code::DuplicateDefinition, message)
                .hint("Keep one of the two files: a folder contains one definition of each name.")
        } else {
            Problem::warning(Code::DuplicateDefinition, format!("{message}; farrier uses this file"))
                .hint(format!("Remove {} to avoid the ambiguity.", file_name(&first.path)))
        };
        problems.push(problem.at(Place::file(&last.path)).of(stem));
    }
    problems
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Reads, parses and decodes one file; none where its text cannot even be parsed.
fn declaration(
    candidate: &Candidate,
    budget: &ReadingBudget,
    problems: &mut Vec<Problem>,
) -> Option<Declaration> {
    let source = match read::read(&candidate.path, &candidate.access, budget) {
        Ok(source) => source,
        Err(problem) => {
            problems.push(problem.of(&candidate.stem));
            return None;
        }
    };
    declared(candidate, &source, budget, problems)
}

/// Parses and decodes what was read of a file.
fn declared(
    candidate: &Candidate,
    source: &Arc<Source>,
    budget: &ReadingBudget,
    problems: &mut Vec<Problem>,
) -> Option<Declaration> {
    let parsed = if candidate.is_toml() {
        super::toml::parse(&source.text)
    } else {
        super::yaml::parse(&source.text).map_err(|error| vec![error])
    };
    match parsed {
        Ok(mut root) => {
            let mut read = BTreeSet::new();
            let mut unset = Vec::new();
            if candidate.is_toml() {
                let variables = Variables::of(&candidate.path, &candidate.access, budget);
                unset = interpolate(&mut root, &mut |name| {
                    read.insert(name.to_owned());
                    variables.get(name)
                });
            }
            let (mut declaration, found) = decode(&root, source, &candidate.stem, candidate.layer);
            if let Declaration::Sidecar(definition) = &mut declaration {
                definition.access = candidate.access.clone();
                definition.variables = read;
            }
            // What does not take part may be unfinished.
            if !unset.is_empty() && !matches!(declaration, Declaration::Disabled { .. }) {
                declaration = Declaration::Broken;
                problems.extend(unset.into_iter().map(|(problem, span)| {
                    let place = problem.place.clone().unwrap_or(Place { source: Arc::clone(source), span });
                    problem.at(place).of(&candidate.stem)
                }));
            }
            problems.extend(found);
            Some(declaration)
        }
        Err(errors) => {
            problems.extend(errors.into_iter().map(|error| {
                Problem::error(Code::DefinitionSyntax, error.message)
                    .at(Place { source: Arc::clone(source), span: error.span })
                    .of(&candidate.stem)
                    .hint(error.hint)
            }));
            None
        }
    }
}
