//! What a container mounts: the volumes, files and memory of its definition, and a volume for each path for which its image
//! wants one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::definition::model::Mount;
use crate::engine::native::volumes::is_anonymous;
use crate::plan::instance::Mounted;
use crate::plan::sidecar::Sidecar;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerMount {
    /// The path in the container.
    pub target: String,
    /// Whether the container may write to it.
    pub writable: bool,
    /// What is mounted.
    pub source: Source,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The engine's volume with this name.
    Volume(String),
    /// A file or folder of this host.
    Bind(PathBuf),
    /// Memory, with its size in bytes if it has one.
    Memory(Option<u64>),
}

impl ContainerMount {
    /// The name of the volume, if it is one.
    pub fn volume(&self) -> Option<&str> {
        match &self.source {
            Source::Volume(name) => Some(name),
            Source::Bind(_) | Source::Memory(_) => None,
        }
    }

    /// As the rest of farrier sees it, if it is a volume that no definition names.
    pub fn anonymous_volume(&self) -> Option<Mounted> {
        let name = self.volume().filter(|name| is_anonymous(name))?;
        Some(Mounted {
            kind: "volume".to_owned(),
            source: name.to_owned(),
            target: self.target.clone(),
            writable: self.writable,
        })
    }
}

/// The mounts of a sidecar's container, the outer ones first. It takes over the volumes that an instance before had,
/// and gets new ones, whose names `new` makes, for the other paths for which the image wants volumes.
pub fn mounts(
    sidecar: &Sidecar,
    carried: &[Mounted],
    paths: &[String],
    mut new: impl FnMut() -> String,
) -> Vec<ContainerMount> {
    let mut all: Vec<ContainerMount> =
        sidecar.definition.container.mounts.iter().filter_map(|mount| declared(sidecar, mount)).collect();
    let volume = |source: String, target: &str| ContainerMount {
        target: target.trim_end_matches('/').to_owned(),
        writable: true,
        source: Source::Volume(source),
    };
    all.extend(carried.iter().map(|mount| volume(mount.source.clone(), &mount.target)));
    for path in paths {
        let target = path.trim_end_matches('/');
        if !target.is_empty() && all.iter().all(|mount| mount.target != target) {
            all.push(volume(new(), target));
        }
    }
    all.sort_by_key(|mount| mount.target.split('/').count());
    all
}

fn declared(sidecar: &Sidecar, mount: &Mount) -> Option<ContainerMount> {
    let of = |target: &str, writable: bool, source: Source| {
        Some(ContainerMount { target: target.to_owned(), writable, source })
    };
    match mount {
        Mount::Volume { name, target, writable } => {
            of(target, *writable, Source::Volume(sidecar.volume(name)))
        }
        Mount::Bind { target, writable, bound, .. } => {
            of(target, *writable, Source::Bind(bound.as_ref()?.path.clone()))
        }
        Mount::Tmpfs { target, size } => of(target, true, Source::Memory(*size)),
        Mount::Workspace { target, writable } => {
            of(target, *writable, Source::Bind(sidecar.workspace.clone()?))
        }
        // Refused before anything is made.
        Mount::DockerSocket { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fuzzing::definition;
    use crate::plan::sidecar::Scopes;

    #[test]
    fn an_image_gets_volumes_where_nothing_else_is_mounted() {
        let text = "image = 'oci:./x'\nmounts = ['volume:data:/data/inner', 'tmpfs:/run:64KiB']\n\
                    interface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";
        let sidecar = Sidecar::new(definition("db", text).expect("a definition"), &Scopes::default());
        let carried = Mounted {
            kind: "volume".to_owned(),
            source: "ab".repeat(32),
            target: "/kept".to_owned(),
            writable: true,
        };
        let paths = ["/kept", "/data/", "/run", "/new", "/"].map(str::to_owned);
        let mut count = 0;
        let all = mounts(&sidecar, std::slice::from_ref(&carried), &paths, || {
            count += 1;
            format!("{count:064x}")
        });
        let told: Vec<String> =
            all.iter().map(|mount| format!("{} {}", mount.target, mount.volume().unwrap_or("-"))).collect();
        let [first, second] = [1, 2].map(|number| format!("{number:064x}"));
        assert_eq!(
            told,
            [
                "/run -".to_owned(),
                format!("/kept {}", carried.source),
                format!("/data {first}"),
                format!("/new {second}"),
                "/data/inner farrier-db_data".to_owned(),
            ]
        );
        assert_eq!(all.iter().filter_map(ContainerMount::anonymous_volume).count(), 3);
    }
}
