//! `probe update`: shows what changed at the tags that are pinned, and pins that.

use std::collections::BTreeSet;

use super::difference::{Side, difference};
use super::registries::{NOTHING_TAGGED, registries, tagged_folders};
use crate::cli::data::print;
use crate::cli::options::ProbeUpdate;
use crate::cli::runtime::CommandRuntime;
use crate::definition::ArtifactReference;
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::format::{Artifact, version};
use crate::probe::artifacts::lock::{LockedProbe, ProbeLock};
use crate::probe::artifacts::take;
use crate::probe::artifacts::transfer::Registries;
use crate::probe::component::ComponentFile;
use crate::report::error::{Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Shows the changes, and writes them unless it is a dry run.
pub fn update(options: &ProbeUpdate) -> Result<u8, Failure> {
    let folders = tagged_folders(&options.layers, &options.names)?;
    if folders.is_empty() {
        print(NOTHING_TAGGED);
    }
    let registries = registries();
    let problems = CommandRuntime::start()?.run_alone(async {
        let mut problems = Vec::new();
        for mut folder in folders {
            let before = folder.lock.clone();
            for (reference, sidecars) in &folder.references {
                match update_one(&registries, (reference, sidecars), &mut folder.lock).await {
                    Ok(told) => print(&told),
                    Err(problem) => problems.push(problem),
                }
            }
            if folder.lock == before {
                continue;
            }
            if options.dry_run {
                print("Nothing was written, because this is a dry run.\n");
                continue;
            }
            match folder.lock.write(&folder.path) {
                Ok(path) => print(&format!("wrote {}\n", escape(&path.display().to_string()))),
                Err(problem) => problems.push(problem),
            }
        }
        Ok(problems)
    })?;
    if problems.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(problems)) }
}

async fn update_one(
    registries: &Registries,
    (reference, sidecars): (&ArtifactReference, &BTreeSet<String>),
    lock: &mut ProbeLock,
) -> Result<String, Problem> {
    let Some(locked) = lock.get(reference).cloned() else {
        return Ok(format!("{reference} is not pinned yet; `farrier probe pin` pins it\n"));
    };
    let located = registries.locate(reference).await?;
    let digest = located.artifact.digest.clone();
    if locked.digest == digest {
        return Ok(format!("{reference} is up to date: {digest}\n"));
    }
    let cache = ArtifactCache::of_user();
    let now = take(&located, &cache, reference).await?;
    let before = pinned(registries, &cache, reference, &locked).await;
    let told = difference(
        reference,
        sidecars,
        &Side { digest: &locked.digest, sha256: &locked.sha256, version: before.1, file: before.0.as_ref() },
        &Side {
            digest: &digest,
            sha256: &now.digest,
            version: version_of(&located.artifact, &now),
            file: Some(&now),
        },
    );
    lock.pin(reference.clone(), LockedProbe { digest, sha256: now.digest.clone() });
    Ok(told)
}

/// The component that is pinned, and its version; `None` if neither the cache nor the registry has it any more.
async fn pinned(
    registries: &Registries,
    cache: &ArtifactCache,
    reference: &ArtifactReference,
    locked: &LockedProbe,
) -> (Option<ComponentFile>, Option<String>) {
    if let Some(bytes) = cache.component(&locked.sha256) {
        let artifact = cache.manifest(&locked.digest).and_then(|manifest| Artifact::parse(&manifest).ok());
        let file = ComponentFile::parse(bytes).ok();
        let version = artifact.zip(file.as_ref()).and_then(|(artifact, file)| version_of(&artifact, file));
        return (file, version);
    }
    let Ok(located) = registries.locate(&reference.at(&locked.digest)).await else { return (None, None) };
    match take(&located, cache, reference).await {
        Ok(file) => {
            let version = version_of(&located.artifact, &file);
            (Some(file), version)
        }
        Err(_) => (None, located.artifact.version),
    }
}

fn version_of(artifact: &Artifact, file: &ComponentFile) -> Option<String> {
    artifact.version.clone().or_else(|| version(&file.bytes))
}
