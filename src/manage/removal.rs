//! Removing sidecars: under their locks, never under a launch that uses them, and farrier's own networks that
//! nothing is on any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::engine::copies;
use crate::engine::problem::engine_problem;
use crate::engine::{ByHand, Engine, EngineErrorKind, Intent, Progress, Use};
use crate::event::{Event, Reporter};
use crate::manage::managed::{Inventory, Managed, ManagedVolume, SyncStatus};
use crate::plan::snapshot::holders;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;
use crate::system::leases::Leases;
use crate::system::lock::{Holder, LockFolder};

use networks::{own_networks, remove_unused};

pub mod networks;

/// Which sidecars are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that the current layers declare.
    Declared,
    /// Those whose definition file is gone.
    Orphans,
    /// All on the engine.
    All,
    /// These, by the name of the sidecar or of its container.
    Named(Vec<String>),
}

impl Scope {
    /// The sidecars that are meant; with an age, only those that are in their state for longer.
    ///
    /// # Errors
    /// For each name that means none, or several.
    pub fn select(
        &self,
        inventory: &Inventory,
        older_than: Option<Duration>,
    ) -> Result<Vec<Managed>, Failure> {
        let matching = |wanted: fn(&SyncStatus) -> bool| {
            let found = inventory.sidecars.iter().filter(|managed| wanted(&managed.sync_status));
            found.cloned().collect()
        };
        let mut chosen: Vec<Managed> = match self {
            Self::Declared => matching(SyncStatus::is_declared),
            Self::Orphans => matching(|sync_status| *sync_status == SyncStatus::Orphan),
            Self::All => matching(|_| true),
            Self::Named(names) => named(names, inventory)?,
        };
        if let Some(age) = older_than {
            chosen.retain(|managed| {
                let since = managed.container.since();
                // A moment that is still to come, because a clock was set back, is not long ago.
                since.is_some_and(|since| {
                    Duration::try_from(inventory.now.duration_since(since)).is_ok_and(|past| past > age)
                })
            });
        }
        Ok(chosen)
    }
}

impl Scope {
    /// The named volumes that are meant.
    #[must_use]
    pub fn select_volumes(&self, inventory: &Inventory) -> Vec<ManagedVolume> {
        let is_meant = |volume: &&ManagedVolume| match self {
            Self::Declared => volume.is_declared,
            Self::Orphans => volume.is_orphan,
            Self::All => true,
            Self::Named(names) => {
                let is_named = names.contains(&volume.sidecar) || names.contains(&volume.container);
                // Of several sidecars of one name it is the one that the current layers declare.
                let of_the_name = || inventory.volumes.iter().filter(|other| other.sidecar == volume.sidecar);
                is_named
                    && (volume.is_declared
                        || names.contains(&volume.container)
                        || of_the_name().all(|other| other.container == volume.container))
            }
        };
        inventory.volumes.iter().filter(is_meant).cloned().collect()
    }
}

/// One that is declared and has no container is removed already.
fn named(names: &[String], inventory: &Inventory) -> Result<Vec<Managed>, Failure> {
    let mut chosen: Vec<Managed> = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        match inventory.find(name) {
            Ok(found) if chosen.iter().any(|other| other.container.id == found.container.id) => {}
            Ok(found) => chosen.push(found.clone()),
            Err(_) if inventory.absent.contains(name) => {}
            Err(_)
                if inventory
                    .volumes
                    .iter()
                    .any(|volume| [&volume.sidecar, &volume.container].contains(&name)) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(Failure::of(problems)) }
}

/// What removing needs, and how far it goes.
pub struct Remover {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The engine's locks.
    pub locks: LockFolder,
    /// Which launches use a container.
    pub leases: Leases,
    /// Where events go.
    pub reporter: Arc<Reporter>,
    /// Whether launches that use a sidecar count for nothing.
    pub force: bool,
    /// Whether anonymous volumes go too.
    pub volumes: bool,
    /// The named volumes that go.
    pub named_volumes: Vec<ManagedVolume>,
}

/// What was done, and what failed.
#[derive(Debug, Default)]
pub struct Removed {
    /// Containers that are gone.
    pub containers: Vec<String>,
    /// Containers that were recreated meanwhile, and are left.
    pub changed: Vec<String>,
    /// What has not ended yet of what was removed, in words, by the container's name.
    pub still_ending: Vec<(String, String)>,
    /// Named volumes that are gone.
    pub named_volumes: Vec<String>,
    /// Named volumes that stay, because their container does.
    pub kept_named_volumes: Vec<String>,
    /// Named volumes that stay, with the nodes that they lie on.
    pub elsewhere: Vec<(String, String)>,
    /// Anonymous volumes that are gone.
    pub volumes: Vec<String>,
    /// Anonymous volumes that stay.
    pub kept_volumes: Vec<String>,
    /// Those of them that no container of farrier's has any more.
    pub unused_volumes: Vec<String>,
    /// The commands that remove them.
    pub volume_removals: Vec<String>,
    /// Networks that are gone.
    pub networks: Vec<String>,
    /// What failed; the rest was done.
    pub problems: Vec<Problem>,
}

impl Removed {
    /// Adds what was done on another engine.
    pub fn add(&mut self, other: Self) {
        self.containers.extend(other.containers);
        self.changed.extend(other.changed);
        self.still_ending.extend(other.still_ending);
        self.named_volumes.extend(other.named_volumes);
        self.kept_named_volumes.extend(other.kept_named_volumes);
        self.elsewhere.extend(other.elsewhere);
        self.volumes.extend(other.volumes);
        self.kept_volumes.extend(other.kept_volumes);
        self.unused_volumes.extend(other.unused_volumes);
        self.volume_removals.extend(other.volume_removals);
        self.networks.extend(other.networks);
        self.problems.extend(other.problems);
    }
}

impl Remover {
    /// Removes these, or none of them where a launch uses one.
    ///
    /// # Errors
    /// When one of them is in use, or cannot be locked: nothing was removed then.
    pub async fn remove(&self, chosen: &[Managed]) -> Result<Removed, Failure> {
        // In one order for everybody, so that none waits for another in a circle.
        let mut chosen: Vec<&Managed> = chosen.iter().collect();
        chosen.sort_by(|left, right| left.container.name.cmp(&right.container.name));
        let mut held = Vec::new();
        let alone = without_container(&chosen, &self.named_volumes);
        for (&name, &sidecar) in &alone {
            let waiting = |holder: Option<&Holder>| {
                self.reporter.tell(&Event::WaitingForLaunch { sidecar, holder });
            };
            held.push(self.locks.lock(name, waiting).await?);
        }
        for managed in &chosen {
            let name = &managed.container.name;
            let waiting = |holder: Option<&Holder>| {
                self.reporter.tell(&Event::WaitingForLaunch { sidecar: &managed.name, holder });
            };
            held.push(self.locks.lock(name, waiting).await?);
            // From now on no launch begins to use it.
            held.push(self.leases.claim(&managed.container.id, waiting).await?);
        }
        // A launch on another machine may await a container that does not exist yet, with the data of its volume.
        let of_chosen = chosen.iter().map(|managed| managed.container.name.as_str());
        let names: Vec<&str> = of_chosen.chain(alone.keys().copied()).collect();
        let using = match names.as_slice() {
            [] => None,
            names => {
                let told = self.engine.begin_use(Intent::Removal(names), self.leases.command()).await;
                told.map_err(|error| engine_problem("mark the sidecars as being removed", &error))?
            }
        };
        let removed = self.remove_marked(chosen, &alone, using.as_deref()).await;
        if let Some(using) = using {
            using.end().await;
        }
        removed
    }

    /// Removes those that this command has locked and marked, unless a launch uses one: somebody may have begun to use it
    /// since it was looked at.
    async fn remove_marked(
        &self,
        chosen: Vec<&Managed>,
        alone: &BTreeMap<&str, &str>,
        using: Option<&dyn Use>,
    ) -> Result<Removed, Failure> {
        let elsewhere = match using {
            Some(using) => {
                let earlier = using.earlier().await;
                earlier.map_err(|error| engine_problem("look who uses the sidecars", &error))?
            }
            None => BTreeMap::new(),
        };
        let of = |name: &str| elsewhere.get(name).map(Vec::as_slice).unwrap_or_default();
        let of_chosen = chosen.iter().filter_map(|managed| {
            let here = holders(&self.leases, &managed.container);
            self.in_use(&managed.name, here.iter().chain(of(&managed.container.name)))
        });
        let of_alone = alone.iter().filter_map(|(name, sidecar)| self.in_use(sidecar, of(name)));
        let in_use: Vec<Problem> = of_chosen.chain(of_alone).collect();
        if !in_use.is_empty() {
            return Err(Failure { exit: exit::REFUSED, problems: in_use });
        }
        let mut removed = Removed::default();
        // Beside each other: each may take its whole grace period.
        let tell = |progress: Progress<'_>| self.reporter.tell(&Event::from(progress));
        let ended = join_all(
            chosen.iter().map(|managed| self.engine.remove(&managed.name, &managed.container, &tell)),
        )
        .await;
        let mut staying: BTreeSet<&str> = BTreeSet::new();
        for (managed, ended) in chosen.into_iter().zip(ended) {
            if !matches!(ended, Ok(true)) {
                staying.insert(&managed.container.name);
            }
            match ended {
                Ok(true) => {
                    copies::release(self.engine.as_ref(), &managed.container.name).await;
                    self.still_ending(managed, &mut removed).await;
                    removed.containers.push(managed.container.name.clone());
                    self.anonymous_volumes(managed, &mut removed).await;
                }
                Ok(false) => removed.changed.push(managed.container.name.clone()),
                Err(error) => removed.problems.push(
                    engine_problem(&format!("remove `{}`", managed.container.name), &error)
                        .of(managed.name.clone()),
                ),
            }
        }
        if !removed.unused_volumes.is_empty() {
            let removal = self.engine.by_hand(ByHand::RemoveVolumes(&removed.unused_volumes));
            removed.volume_removals.extend(removal);
        }
        self.remove_named_volumes(&staying, &mut removed).await;
        self.networks(&mut removed).await;
        copies::sweep(self.engine.as_ref()).await;
        self.engine.sweep().await;
        Ok(removed)
    }

    async fn still_ending(&self, managed: &Managed, removed: &mut Removed) {
        let name = &managed.container.name;
        match self.engine.still_ending(&managed.container).await {
            Ok(what) => removed.still_ending.extend(what.map(|what| (name.clone(), what))),
            Err(error) => tracing::debug!("nobody tells whether {name} has ended: {error}"),
        }
    }

    /// Those of containers that stay are data of whoever uses them now.
    async fn remove_named_volumes(&self, staying: &BTreeSet<&str>, removed: &mut Removed) {
        for volume in &self.named_volumes {
            if staying.contains(volume.container.as_str()) {
                removed.kept_named_volumes.push(volume.name.clone());
                continue;
            }
            if let Some(node) = &volume.lies_on {
                removed.elsewhere.push((volume.name.clone(), node.clone()));
                continue;
            }
            match self.engine.remove_volume(&volume.name).await {
                Ok(()) => removed.named_volumes.push(volume.name.clone()),
                Err(error) => removed.problems.push(
                    engine_problem(&format!("remove the volume `{}`", volume.name), &error)
                        .of(volume.sidecar.clone()),
                ),
            }
        }
    }

    /// Those of farrier's that nothing is on; also of launches that were killed before they made a sidecar.
    async fn networks(&self, removed: &mut Removed) {
        let engine = self.engine.as_ref();
        let names = own_networks(engine).await.unwrap_or_else(|problem| {
            removed.problems.push(problem);
            BTreeSet::new()
        });
        for name in names {
            match remove_unused(engine, &self.locks, &name).await {
                Ok(true) => removed.networks.push(name),
                Ok(false) => {}
                Err(problem) => removed.problems.push(problem),
            }
        }
    }

    fn in_use<'a>(&self, sidecar: &str, holders: impl IntoIterator<Item = &'a Holder>) -> Option<Problem> {
        let holder = holders.into_iter().next().filter(|_| !self.force)?;
        let message = format!("process {} uses the sidecar `{sidecar}`: {}", holder.process, holder.command);
        Some(
            Problem::error(Code::SidecarInUse, message)
                .of(sidecar)
                .hint("Wait until that launch ends.")
                .hint("Or add `--force` to remove it despite that launch."),
        )
    }

    async fn anonymous_volumes(&self, managed: &Managed, removed: &mut Removed) {
        for volume in managed.anonymous_volumes() {
            if !self.volumes {
                removed.kept_volumes.push(volume.source.clone());
                removed.unused_volumes.push(volume.source.clone());
                continue;
            }
            match self.engine.remove_volume(&volume.source).await {
                Ok(()) => removed.volumes.push(volume.source.clone()),
                // Another container has it.
                Err(error) if error.kind == EngineErrorKind::Conflict => {
                    removed.kept_volumes.push(volume.source.clone());
                }
                Err(error) => removed.problems.push(
                    engine_problem(&format!("remove the volume {}", volume.source), &error)
                        .of(managed.name.clone()),
                ),
            }
        }
    }
}

/// The names of containers that are not removed with their volumes, mostly because they do not exist, with their sidecars'
/// names.
fn without_container<'a>(chosen: &[&Managed], volumes: &'a [ManagedVolume]) -> BTreeMap<&'a str, &'a str> {
    let is_chosen =
        |volume: &&ManagedVolume| chosen.iter().any(|managed| managed.container.name == volume.container);
    let alone = volumes.iter().filter(|volume| !is_chosen(volume));
    alone.map(|volume| (volume.container.as_str(), volume.sidecar.as_str())).collect()
}
