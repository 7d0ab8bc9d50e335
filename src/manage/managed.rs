//! What farrier manages on an engine: containers with both its labels and a name of its shape. Labels alone
//! prove nothing, since any image may carry them.

use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::definition::container_token;
use crate::engine::{Container, Engine, EngineInfo, EngineResult, Image, Mounted};
use crate::plan::Cause;
use crate::plan::reconcile::{Wish, staleness};
use crate::plan::sidecar::{
    LABEL_CONFIGURATION, LABEL_DEFINITION, LABEL_FOLDER, LABEL_HASH, LABEL_SIDECAR, Sidecar, folder_identity,
};
use crate::plan::snapshot::{Snapshot, holders};
use crate::report::error::{Code, Problem};
use crate::system::leases::Leases;
use crate::system::lock::Holder;

/// How a container stands to what is declared now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The current layers declare exactly this.
    Fresh,
    /// The current layers declare it otherwise.
    Stale(Vec<Cause>),
    /// The file that it was made from is provably gone.
    Orphan,
    /// The current layers do not declare it; another user's or another workspace's may.
    Undeclared,
}

impl Standing {
    /// The stable name in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale(_) => "stale",
            Self::Orphan => "orphan",
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
    /// Its container.
    pub container: Container,
    /// The definition file that it was made from.
    pub definition: PathBuf,
    /// How it stands to what is declared now.
    pub standing: Standing,
    /// The launches that use it.
    pub holders: Vec<Holder>,
}

impl Managed {
    /// Its anonymous volumes, which may hold data.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = &Mounted> {
        self.container.mounts.iter().filter(|mount| mount.is_anonymous_volume())
    }
}

/// Everything that farrier manages on one engine, at one moment.
#[derive(Clone, Debug)]
pub struct Survey {
    /// By name, and by container where several have one name.
    pub sidecars: Vec<Managed>,
    /// Names that the current layers declare and that have no container.
    pub absent: Vec<String>,
    /// The engine's own time.
    pub now: Timestamp,
}

/// Looks at everything; nothing is changed.
///
/// # Errors
/// When the engine does not answer one of the questions.
pub async fn survey(
    engine: &dyn Engine,
    info: &EngineInfo,
    declared: &[Sidecar],
    leases: &Leases,
) -> EngineResult<Survey> {
    let listed = engine.labelled(LABEL_SIDECAR).await?;
    let found = try_join_all(listed.iter().map(async |listed| {
        let Some(container) = engine.container(&listed.name).await? else { return Ok(None) };
        let image = engine.image(&container.image_id).await?;
        Ok(is_managed(&container, image.as_ref()).then_some((container, image)))
    }));
    let mut snapshot = Snapshot::default();
    let mut containers = Vec::new();
    for (container, image) in found.await?.into_iter().flatten() {
        snapshot.images.extend(image.map(|image| (container.image_id.clone(), image)));
        containers.push(container);
    }
    let references = declared.iter().map(|sidecar| sidecar.definition.image.as_str());
    let tagged = try_join_all(references.map(async |reference| {
        Ok(engine.image(reference).await?.map(|image| (reference.to_owned(), image)))
    }));
    snapshot.images.extend(tagged.await?.into_iter().flatten());
    let is_absent = |sidecar: &&Sidecar| !containers.iter().any(|container| is_of(sidecar, container));
    let absent = declared.iter().filter(is_absent).map(|sidecar| sidecar.name().to_owned()).collect();
    let mut sidecars: Vec<Managed> = containers
        .into_iter()
        .map(|container| {
            let label = |label: &str| container.labels.get(label).cloned().unwrap_or_default();
            let definition = PathBuf::from(label(LABEL_DEFINITION));
            Managed {
                name: label(LABEL_SIDECAR),
                standing: standing(&container, &definition, declared, &snapshot, info.local),
                holders: holders(leases, &container),
                definition,
                container,
            }
        })
        .collect();
    let key = |managed: &Managed| (managed.name.clone(), managed.container.name.clone());
    sidecars.sort_by_key(key);
    Ok(Survey { sidecars, absent, now: info.moment().unwrap_or_else(Timestamp::now) })
}

/// Whether farrier made this container: it has a name of our shape for the sidecar that it says it is, and all
/// of our labels, which are not just those of its image (as of one that was committed from a sidecar).
fn is_managed(container: &Container, image: Option<&Image>) -> bool {
    let label = |label: &str| container.labels.get(label);
    let complete =
        [LABEL_HASH, LABEL_DEFINITION, LABEL_CONFIGURATION].into_iter().all(|name| label(name).is_some());
    // No two containers have the same configuration there: each has a salt of its own.
    let inherited =
        image.is_some_and(|image| image.labels.get(LABEL_CONFIGURATION) == label(LABEL_CONFIGURATION));
    complete && !inherited && label(LABEL_SIDECAR).is_some_and(|name| is_name_of(name, &container.name))
}

/// `farrier-NAME`, or the same with eight hex digits that tell a workspace or an organisation.
fn is_name_of(sidecar: &str, container: &str) -> bool {
    let token = container_token(sidecar);
    let is_scope = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|scope| {
            scope.len() == 8 && scope.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let rest = container.strip_prefix("farrier-").and_then(|rest| rest.strip_prefix(token.as_str()));
    !token.is_empty() && rest.is_some_and(|rest| rest.is_empty() || is_scope(rest))
}

fn is_of(sidecar: &Sidecar, container: &Container) -> bool {
    sidecar.container == container.name && sidecar.owns(&container.labels)
}

fn standing(
    container: &Container,
    definition: &Path,
    declared: &[Sidecar],
    snapshot: &Snapshot,
    local: bool,
) -> Standing {
    let Some(sidecar) = declared.iter().find(|sidecar| is_of(sidecar, container)) else {
        // On an engine elsewhere, the file may be another machine's.
        let folder = container.labels.get(LABEL_FOLDER);
        return if local && is_proven_gone(definition, folder) {
            Standing::Orphan
        } else {
            Standing::Undeclared
        };
    };
    let mut causes = staleness(sidecar, container, snapshot, &Wish::default());
    // These are about its state, not about its configuration.
    causes.retain(|cause| !matches!(cause, Cause::Stopped(..) | Cause::HalfMade));
    if causes.is_empty() { Standing::Fresh } else { Standing::Stale(causes) }
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

impl Survey {
    /// The one that a user means by the name of a sidecar or of a container. Of several of one name it is the
    /// one that the current layers declare.
    ///
    /// # Errors
    /// When there is none, or several are meant.
    pub fn find(&self, name: &str) -> Result<&Managed, Problem> {
        let named = |managed: &&Managed| managed.name == name || managed.container.name == name;
        let all: Vec<&Managed> = self.sidecars.iter().filter(named).collect();
        let declared: Vec<&Managed> =
            all.iter().copied().filter(|managed| managed.standing.is_declared()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_have_the_shape() {
        for (sidecar, container, expected) in [
            ("db", "farrier-db", true),
            ("db", "farrier-db-0123abcd", true),
            ("db", "farrier-db_", false),
            ("db", "farrier-db-0123ABCD", false),
            ("db", "farrier-db-0123abcde", false),
            ("db", "farrier-cache", false),
            ("db", "db", false),
            ("a b", "farrier-a-b", true),
            ("...", "farrier-", false),
        ] {
            assert_eq!(is_name_of(sidecar, container), expected, "{sidecar} {container}");
        }
    }
}
