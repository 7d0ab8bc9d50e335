//! `probe update`: shows what changed at the tags that are pinned, and pins that.

use std::collections::BTreeSet;

use super::difference::{Side, difference};
use super::registries::{
    NOTHING_TAGGED, PinnedTag, TaggedFolder, chosen_definitions, definitions, pinned_tags, registries,
    tagged_folders,
};
use crate::cli::data::print;
use crate::cli::options::ProbeUpdate;
use crate::cli::runtime::CommandRuntime;
use crate::definition::ArtifactReference;
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::format::Artifact;
use crate::probe::artifacts::lock::LockedProbe;
use crate::probe::artifacts::transfer::Registries;
use crate::probe::artifacts::{Pin, take};
use crate::probe::component::ComponentFile;
use crate::probe::metadata::Metadata;
use crate::report::error::{Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Shows the changes, and writes those of `probes.lock` unless it is a dry run. What a definition pins, its author changes.
pub fn update(options: &ProbeUpdate) -> Result<u8, Failure> {
    let (directories, definitions) = definitions(&options.layers)?;
    let definitions = chosen_definitions(definitions, &options.names)?;
    let folders = tagged_folders(&definitions, &directories.budget)?;
    let pinned = pinned_tags(&definitions);
    if folders.is_empty() && pinned.is_empty() {
        print(NOTHING_TAGGED);
    }
    let updating = Updating { registries: registries(), cache: ArtifactCache::of_user() };
    let problems = CommandRuntime::start()?.run_alone(async {
        let mut problems = Vec::new();
        for folder in folders {
            updating.folder(folder, options.dry_run, &mut problems).await;
        }
        for tag in pinned {
            match updating.definition(&tag).await {
                Ok(told) => print(&told),
                Err(problem) => problems.push(problem),
            }
        }
        Ok(problems)
    })?;
    if problems.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(problems)) }
}

/// Where probes come from, and where they are kept.
struct Updating {
    registries: Registries,
    cache: ArtifactCache,
}

/// What a tag names now, if that is not what is pinned.
struct Change {
    /// In words.
    told: String,
    now: LockedProbe,
}

impl Updating {
    async fn folder(&self, mut folder: TaggedFolder, is_dry_run: bool, problems: &mut Vec<Problem>) {
        let before = folder.lock.clone();
        for (reference, sidecars) in &folder.references {
            let Some(locked) = folder.lock.get(reference).cloned() else {
                print(&format!("{reference} is not pinned yet; `farrier probe pin` pins it\n"));
                continue;
            };
            match self.change(reference, sidecars, &Pin::from(&locked)).await {
                Ok(Some(Change { told, now })) => {
                    print(&told);
                    folder.lock.pin(reference.clone(), now);
                }
                Ok(None) => print(&up_to_date(reference, &locked.digest)),
                Err(problem) => problems.push(problem),
            }
        }
        if folder.lock == before {
            return;
        }
        if is_dry_run {
            print("Nothing was written, because this is a dry run.\n");
            return;
        }
        match folder.lock.write(&folder.opened, &folder.path) {
            Ok(path) => print(&format!("wrote {}\n", escape(&path.display().to_string()))),
            Err(problem) => problems.push(problem),
        }
    }

    async fn definition(&self, tag: &PinnedTag<'_>) -> Result<String, Problem> {
        let PinnedTag { definition, by_tag, pin } = tag;
        let sidecars = BTreeSet::from([definition.name.clone()]);
        let Some(Change { told, now }) = self.change(by_tag, &sidecars, pin).await? else {
            let pinned = pin.digest.as_deref().or(pin.sha256.as_deref());
            return Ok(up_to_date(by_tag, pinned.unwrap_or_default()));
        };
        let file = escape(&definition.file().display().to_string());
        let digest = pin.digest.as_ref().map(|_| format!("  probe = \"{}\"\n", by_tag.at(&now.digest)));
        let sha256 = pin.sha256.as_ref().map(|_| format!("  sha256 = \"{}\"\n", now.sha256));
        let lines: String = digest.into_iter().chain(sha256).collect();
        Ok(format!("{told}The definition pins it. If you trust the change, write into {file}:\n{lines}"))
    }

    /// Compares what is pinned with what the tag names now.
    async fn change(
        &self,
        reference: &ArtifactReference,
        sidecars: &BTreeSet<String>,
        pin: &Pin,
    ) -> Result<Option<Change>, Problem> {
        let located = self.registries.locate(reference).await?;
        let (digest, sha256) = (located.artifact.digest.clone(), located.artifact.sha256().to_owned());
        let is_same = match (&pin.digest, &pin.sha256) {
            (Some(pinned), _) => *pinned == digest,
            (None, pinned) => pinned.as_ref() == Some(&sha256),
        };
        if is_same {
            return Ok(None);
        }
        let now = take(&located, &self.cache, reference).await?;
        let (before, version) = self.pinned(reference, pin).await;
        let told = difference(
            reference,
            sidecars,
            &Side {
                digest: pin.digest.as_deref(),
                sha256: pin.sha256.as_deref().or(before.as_ref().map(|file| file.digest.as_str())),
                version,
                file: before.as_ref(),
            },
            &Side {
                digest: Some(&digest),
                sha256: Some(&sha256),
                version: version_of(Some(&located.artifact), &now),
                file: Some(&now),
            },
        );
        Ok(Some(Change { told, now: LockedProbe { digest, sha256 } }))
    }

    /// The component that is pinned, and its version; `None` if neither the cache nor the registry has it any more.
    async fn pinned(
        &self,
        reference: &ArtifactReference,
        pin: &Pin,
    ) -> (Option<ComponentFile>, Option<String>) {
        let sha256 = pin.component(&self.cache);
        if let Some(file) =
            sha256.and_then(|sha256| ComponentFile::parse(self.cache.component(&sha256)?).ok())
        {
            let manifest = pin.digest.as_ref().and_then(|digest| self.cache.manifest(digest));
            let artifact = manifest.and_then(|manifest| Artifact::parse(&manifest).ok());
            let version = version_of(artifact.as_ref(), &file);
            return (Some(file), version);
        }
        let Some(digest) = &pin.digest else { return (None, None) };
        let Ok(located) = self.registries.locate(&reference.at(digest)).await else { return (None, None) };
        match take(&located, &self.cache, reference).await {
            Ok(file) => {
                let version = version_of(Some(&located.artifact), &file);
                (Some(file), version)
            }
            Err(_) => (None, located.artifact.version),
        }
    }
}

fn up_to_date(reference: &ArtifactReference, digest: &str) -> String {
    format!("{reference} is up to date: {digest}\n")
}

fn version_of(artifact: Option<&Artifact>, file: &ComponentFile) -> Option<String> {
    artifact
        .and_then(|artifact| artifact.version.clone())
        .or_else(|| Metadata::of(file).version().map(str::to_owned))
}
