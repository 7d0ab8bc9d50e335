//! What farrier manages on an engine: containers with both its labels and a name of its shape. Labels alone
//! prove nothing, since any image may carry them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::{Engine, EngineInfo, EngineResult};
use crate::plan::Cause;
use crate::plan::instance::{Instance, Mounted};
use crate::plan::reconcile::staleness;
use crate::plan::session::Session;
use crate::plan::sidecar::{
    LABEL_DEFINITION, LABEL_FOLDER, LABEL_INSTANCE, LABEL_SIDECAR, LABEL_VOLUME, Sidecar, folder_identity,
};
use crate::plan::snapshot::{Found, holders};
use crate::report::error::{Code, Problem};
use crate::system::leases::Leases;
use crate::system::lock::Holder;

/// How a container stands to what is declared now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// The current layers declare exactly this.
    Fresh,
    /// The current layers declare it otherwise.
    Stale(Vec<Cause>),
    /// The file that it was made from is provably gone.
    Orphan,
    /// It belongs to the session of a launch.
    Session,
    /// The current layers do not declare it; another user's or another workspace's may.
    Undeclared,
}

impl SyncStatus {
    /// The stable name in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale(_) => "stale",
            Self::Orphan => "orphan",
            Self::Session => "session",
            Self::Undeclared => "undeclared",
        }
    }

    /// Whether the current layers declare it.
    #[must_use]
    pub const fn is_declared(&self) -> bool {
        matches!(self, Self::Fresh | Self::Stale(_))
    }
}

/// A container that farrier made, and what is known about it.
#[derive(Clone, Debug)]
pub struct Managed {
    /// The sidecar's name.
    pub name: String,
    /// The kind of the engine that it lives on.
    pub engine: &'static str,
    /// Its container.
    pub container: Instance,
    /// The name of the set of sidecars that it is of; `None` for the first one.
    pub instance: Option<String>,
    /// The id of the session that it belongs to; `None` if it is shared.
    pub session: Option<String>,
    /// Whether it is a job, as far as the current layers tell.
    pub is_job: bool,
    /// The ports that its definition declares, if the current layers have it.
    pub ports: Vec<u16>,
    /// The definition file that it was made from.
    pub definition: PathBuf,
    /// How it stands to what is declared now.
    pub sync_status: SyncStatus,
    /// All launches that use it.
    pub holders: Vec<Holder>,
}

impl Managed {
    /// Its anonymous volumes, which may hold data.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = &Mounted> {
        self.container.volumes.iter()
    }
}

/// A volume that farrier made because a definition names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedVolume {
    /// The engine's name for it.
    pub name: String,
    /// The sidecar whose it is.
    pub sidecar: String,
    /// The name of that sidecar's container, whether there is one or not.
    pub container: String,
    /// The kind of the engine that it is on.
    pub engine: &'static str,
    /// Whether the current layers declare the sidecar.
    pub is_declared: bool,
    /// Whether the file that it was made from is provably gone.
    pub is_orphan: bool,
    /// The node that it lies on, in words, if this command cannot remove it there.
    pub lies_on: Option<String>,
}

/// Everything that farrier manages on one engine, at one moment.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// By name, and by container where several have one name.
    pub sidecars: Vec<Managed>,
    /// Names that the current layers declare and that have no container.
    pub absent: Vec<String>,
    /// The volumes that definitions name; empty if they were not asked for.
    pub volumes: Vec<ManagedVolume>,
    /// The engine's own time.
    pub now: Timestamp,
}

/// Looks at everything; nothing is changed.
///
/// # Errors
/// If the engine does not answer.
pub async fn inventory(
    engine: &dyn Engine,
    info: &EngineInfo,
    declared: &[Arc<Sidecar>],
    leases: &Leases,
) -> EngineResult<Inventory> {
    let found = engine.inventory(declared).await?;
    let is_absent = |sidecar: &&Arc<Sidecar>| {
        !found.iter().any(|(_, of)| of.as_ref().is_some_and(|of| of.container == sidecar.container))
    };
    let absent = declared.iter().filter(is_absent).map(|sidecar| sidecar.name().to_owned()).collect();
    let mut sidecars: Vec<Managed> = found
        .into_iter()
        .map(|(found, sidecar)| {
            let label = |label: &str| found.instance.labels.get(label).cloned().unwrap_or_default();
            let definition = PathBuf::from(label(LABEL_DEFINITION));
            Managed {
                name: label(LABEL_SIDECAR),
                engine: engine.capabilities().kind,
                instance: found.instance.labels.get(LABEL_INSTANCE).cloned(),
                session: Session::of(&found.instance.labels).map(|session| session.id),
                is_job: sidecar.as_ref().is_some_and(|sidecar| sidecar.definition.job().is_some()),
                ports: sidecar.as_ref().map(|sidecar| sidecar.definition.ports()).unwrap_or_default(),
                sync_status: sync_status(&found, sidecar.as_deref(), &definition, info.local),
                holders: [holders(leases, &found.instance), found.elsewhere].concat(),
                definition,
                container: found.instance,
            }
        })
        .collect();
    let key = |managed: &Managed| (managed.name.clone(), managed.container.name.clone());
    sidecars.sort_by_key(key);
    let now = info.moment().unwrap_or_else(Timestamp::now);
    Ok(Inventory { sidecars, absent, volumes: Vec::new(), now })
}

/// The volumes that farrier made because definitions name them; nothing is changed.
///
/// # Errors
/// If the engine does not answer.
pub async fn volumes(
    engine: &dyn Engine,
    info: &EngineInfo,
    declared: &[Arc<Sidecar>],
) -> EngineResult<Vec<ManagedVolume>> {
    let found = engine.volumes().await?;
    let managed = found.into_iter().map(|volume| {
        let label = |label: &str| volume.labels.get(label).cloned().unwrap_or_default();
        let definition = PathBuf::from(label(LABEL_DEFINITION));
        let is_declared = declared.iter().any(|sidecar| sidecar.owns(&volume.labels));
        let folder = volume.labels.get(LABEL_FOLDER);
        ManagedVolume {
            sidecar: label(LABEL_SIDECAR),
            engine: engine.capabilities().kind,
            container: label(LABEL_VOLUME),
            is_declared,
            is_orphan: !is_declared && info.local && is_proven_gone(&definition, folder),
            lies_on: volume.lies_on,
            name: volume.name,
        }
    });
    let mut managed: Vec<ManagedVolume> = managed.collect();
    managed.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(managed)
}

fn sync_status(found: &Found, sidecar: Option<&Sidecar>, definition: &Path, local: bool) -> SyncStatus {
    if Session::of(&found.instance.labels).is_some() {
        return SyncStatus::Session;
    }
    let Some(sidecar) = sidecar else {
        // On an engine elsewhere, the file may be another machine's.
        let folder = found.instance.labels.get(LABEL_FOLDER);
        return if local && is_proven_gone(definition, folder) {
            SyncStatus::Orphan
        } else {
            SyncStatus::Undeclared
        };
    };
    let mut causes = staleness(sidecar, found, false);
    // These are about its state, not about its configuration.
    causes.retain(|cause| !matches!(cause, Cause::Stopped(..) | Cause::Failed(_) | Cause::HalfMade));
    if causes.is_empty() { SyncStatus::Fresh } else { SyncStatus::Stale(causes) }
}

/// Whether the very folder that a container was made from is here, and the file is not in it. In a container, another
/// mount namespace or a new checkout, a path says nothing about the file that was meant.
fn is_proven_gone(file: &Path, folder: Option<&String>) -> bool {
    let here = file.parent().and_then(folder_identity);
    let found = std::fs::symlink_metadata(file);
    file.is_absolute()
        && here.is_some()
        && here.as_ref() == folder
        && found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

impl Inventory {
    /// The one that a user means by the name of a sidecar or of a container. Of several of one name it is the
    /// one that the current layers declare.
    ///
    /// # Errors
    /// When there is none, or several are meant.
    pub fn find(&self, name: &str) -> Result<&Managed, Problem> {
        let named = |managed: &&Managed| managed.name == name || managed.container.name == name;
        let all: Vec<&Managed> = self.sidecars.iter().filter(named).collect();
        let declared: Vec<&Managed> =
            all.iter().copied().filter(|managed| managed.sync_status.is_declared()).collect();
        match (all.as_slice(), declared.as_slice()) {
            ([one], _) | (_, [one]) => Ok(one),
            ([], _) => Err(self.unknown(name)),
            (several, _) => {
                let containers: Vec<String> =
                    several.iter().map(|managed| format!("`{}`", managed.container.name)).collect();
                let message = format!("{} sidecars are named `{name}`", several.len());
                Err(Problem::error(Code::SidecarNotFound, message)
                    .hint(format!("Name one of the containers: {}.", containers.join(", "))))
            }
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        if self.absent.iter().any(|absent| absent == name) {
            return Problem::error(Code::SidecarNotFound, format!("the sidecar `{name}` has no container"))
                .hint("Start it with `farrier up`.");
        }
        let problem = Problem::error(Code::SidecarNotFound, format!("there is no sidecar `{name}`"));
        let known = self.sidecars.iter().map(|managed| managed.name.as_str());
        let near = known
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .filter(|(distance, _)| *distance <= 2)
            .min();
        match near {
            Some((_, near)) => problem.hint(format!("Did you mean `{near}`?")),
            None => problem.hint("List the sidecars with `farrier ps`."),
        }
    }
}
