//! `probe pull`: the probes that definitions pin into the cache, or one probe into a file.

use std::path::{Path, PathBuf};

use super::inspect::{definition_lines, human_size};
use super::registries::{definitions, permitted_reference, registries};
use crate::cli::data::print;
use crate::cli::options::ProbePull;
use crate::cli::runtime::CommandRuntime;
use crate::definition::{ArtifactReference, in_the_files_language};
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::{Pin, fetch_named, obtain, references};
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;
use crate::system::complete_file::replace;

/// Downloads what was asked for.
pub fn pull(options: &ProbePull) -> Result<u8, Failure> {
    match &options.reference {
        Some(text) => one(options, &permitted_reference(text, &options.layers)?),
        None => all(options),
    }
}

fn one(options: &ProbePull, reference: &ArtifactReference) -> Result<u8, Failure> {
    let (registries, cache) = (registries(), ArtifactCache::of_user());
    let fetched = CommandRuntime::start()?
        .run_alone(async { Ok(fetch_named(&registries, &cache, reference).await?) })?;
    let (pinned, file) = fetched;
    let default = || PathBuf::from(format!("./{}.wasm", reference.name()));
    let out = options.out.clone().unwrap_or_else(default);
    write(&out, &file.bytes)?;
    let name = out.file_name().unwrap_or_default().display().to_string();
    print(&format!(
        "{}: {} ({} bytes), from {pinned}\n\nPut it beside a definition, and add these lines to the definition:\n\n{}",
        escape(&out.display().to_string()),
        human_size(&file),
        file.bytes.len(),
        definition_lines(&file, &format!("./{}", escape(&name))),
    ));
    Ok(exit::SUCCESS)
}

fn all(options: &ProbePull) -> Result<u8, Failure> {
    let (directories, definitions) = definitions(&options.layers)?;
    let (registries, cache) = (registries(), ArtifactCache::of_user());
    let named = definitions
        .iter()
        .flat_map(|definition| references(definition).map(move |found| (definition, found)));
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        print("No definition names a probe in a registry.\n");
    }
    let problems = CommandRuntime::start()?.run_alone(async {
        let mut problems = Vec::new();
        for (definition, (readiness, reference)) in named {
            let pulled = match Pin::find(definition, readiness, reference, &directories.budget) {
                Ok(pin) => obtain(&registries, &cache, reference, &pin).await,
                Err(problem) => Err(problem),
            };
            match pulled {
                Ok(obtained) => {
                    let what = if obtained.is_new { "was downloaded" } else { "is in the cache" };
                    print(&format!("{reference} {what}: sha256 {}\n", obtained.sha256));
                }
                Err(problem) => {
                    let place = definition.place(&format!("{}.probe", readiness.field));
                    problems.push(in_the_files_language(problem.at(place).of(&definition.name)));
                }
            }
        }
        Ok(problems)
    })?;
    if problems.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(problems)) }
}

/// Replaces the file as a whole: a launch that reads meanwhile sees all or nothing.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    replace(path, bytes).map_err(|error| {
        Problem::error(Code::Usage, format!("cannot write `{}`: {error}", path.display()))
            .hint("With `--out`, name a file in a folder that you can write to.")
    })
}
