//! `probe pin`: what tags mean now, into `probes.lock`.

use super::registries::{NOTHING_TAGGED, definitions, registries, tagged_folders};
use crate::cli::data::print;
use crate::cli::options::ProbePin;
use crate::cli::runtime::CommandRuntime;
use crate::definition::ArtifactReference;
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::lock::{LockedProbe, ProbeLock};
use crate::probe::artifacts::take;
use crate::probe::artifacts::transfer::Registries;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Pins what is not pinned yet, and checks the rest.
pub fn pin(options: &ProbePin) -> Result<u8, Failure> {
    let (directories, definitions) = definitions(&options.layers)?;
    let folders = tagged_folders(&definitions, &directories.budget)?;
    if folders.is_empty() {
        print(NOTHING_TAGGED);
    }
    let registries = registries();
    let problems = CommandRuntime::start()?.run_alone(async {
        let mut problems = Vec::new();
        for mut folder in folders {
            let before = folder.lock.clone();
            for reference in folder.references.keys() {
                match pin_one(&registries, reference, &mut folder.lock).await {
                    Ok(told) => print(&told),
                    Err(problem) => problems.push(problem),
                }
            }
            if folder.lock != before {
                match folder.lock.write(&folder.opened, &folder.path) {
                    Ok(path) => print(&format!("wrote {}\n", escape(&path.display().to_string()))),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Ok(problems)
    })?;
    if problems.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(problems)) }
}

async fn pin_one(
    registries: &Registries,
    reference: &ArtifactReference,
    lock: &mut ProbeLock,
) -> Result<String, Problem> {
    let located = registries.locate(reference).await?;
    let digest = located.artifact.digest.clone();
    match lock.get(reference) {
        Some(locked) if locked.digest == digest => Ok(format!("{reference} is pinned already: {digest}\n")),
        Some(locked) => {
            let message = format!(
                "the tag of `{reference}` moved: it names {digest} now, but {} is pinned",
                locked.digest
            );
            Err(Problem::error(Code::ProbeTagMoved, message)
                .hint("See what changed with `farrier probe update --dry-run`.")
                .hint("If you trust the change, pin it with `farrier probe update`."))
        }
        None => {
            let file = take(&located, &ArtifactCache::of_user(), reference).await?;
            let told = format!("{reference} is pinned now: {digest}\n");
            lock.pin(reference.clone(), LockedProbe { digest, sha256: file.digest });
            Ok(told)
        }
    }
}
