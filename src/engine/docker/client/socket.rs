//! The engine's own socket, which a definition wants by `docker-socket`. It is where Docker listens if nothing else is said, unless
//! the engine is a Podman or belongs to a user: at the usual place, another engine may listen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::definition::is_engine_socket;
use crate::engine::docker::api::Mounted;
use crate::engine::docker::spec::{DOCKER_SOCKET, NO_SOCKET};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};
use crate::plan::sidecar::LABEL_CONFIGURATION;

/// Where an engine's own socket is, on the engine's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnSocket {
    /// At Docker's usual place.
    Usual,
    At(String),
    /// It listens elsewhere than at sockets.
    Nowhere,
}

impl OwnSocket {
    /// As Podman tells about itself.
    pub fn of_podman(about_itself: &Value) -> Self {
        let told = about_itself.pointer("/host/remoteSocket/path").and_then(Value::as_str).unwrap_or_default();
        let path = told.strip_prefix("unix://").unwrap_or(told);
        // Podman shows the mounted path in this form.
        let path: PathBuf = Path::new(path).components().collect();
        match path.to_str() {
            Some(path) if path.starts_with('/') => Self::At(path.to_owned()),
            _ => Self::Nowhere,
        }
    }

    /// As a Docker that was reached at `reached` describes its own security. That of a user listens in the user's folder; any
    /// other address may be a link, or lead into a machine in which the engine listens at the usual place.
    pub fn of_docker(reached: &str, security: &[String]) -> Self {
        let is_rootless = security.iter().any(|option| option.split(',').any(|part| part == "name=rootless"));
        if is_rootless { Self::At(reached.to_owned()) } else { Self::Usual }
    }

    /// Mounts it where a definition wants the engine's.
    ///
    /// # Errors
    /// If there is none.
    pub fn mount(&self, mounts: &mut [Mounted]) -> EngineResult<()> {
        for mount in mounts.iter_mut().filter(|mount| is_at_socket(mount)) {
            match self {
                Self::Usual => {}
                Self::At(path) => path.clone_into(&mut mount.source),
                Self::Nowhere => return Err(EngineError::new(EngineErrorKind::Refused, NO_SOCKET)),
            }
        }
        Ok(())
    }

    /// The reverse of [`OwnSocket::mount`]; another engine's socket is none that a definition wants.
    pub fn show_as_usual(&self, mounts: &mut [Mounted]) {
        let own = match self {
            Self::Usual => return,
            Self::At(path) => Some(path.as_str()),
            Self::Nowhere => None,
        };
        for mount in mounts.iter_mut().filter(|mount| is_at_socket(mount)) {
            mount.source = if own == Some(&mount.source) {
                DOCKER_SOCKET.to_owned()
            } else {
                format!("{}, which is not this engine's", mount.source)
            };
        }
    }
}

fn is_at_socket(mount: &Mounted) -> bool {
    mount.kind == "bind" && mount.target == DOCKER_SOCKET
}

/// Whether a container is, or is to be, made from a definition that mounts the engine's socket.
pub(super) fn wants_socket(labels: &BTreeMap<String, String>) -> bool {
    let label = labels.get(LABEL_CONFIGURATION).map(String::as_str);
    let stored: Value = serde_json::from_str(label.unwrap_or_default()).unwrap_or_default();
    stored["configuration"]["mounts"].as_array().into_iter().flatten().any(is_engine_socket)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_wants_the_engines_socket_gets_its_own() {
        let bind = |source: &str, target: &str| Mounted {
            kind: "bind".to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            writable: false,
        };
        let declared = [bind("/data", "/data"), bind(DOCKER_SOCKET, DOCKER_SOCKET)];
        let own = OwnSocket::At("/run/user/1000/podman/podman.sock".to_owned());
        for (own, mounted) in [(&own, "/run/user/1000/podman/podman.sock"), (&OwnSocket::Usual, DOCKER_SOCKET)] {
            let mut mounts = declared.clone();
            assert!(own.mount(&mut mounts).is_ok());
            assert_eq!(mounts, [bind("/data", "/data"), bind(mounted, DOCKER_SOCKET)]);
            own.show_as_usual(&mut mounts);
            assert_eq!(mounts, declared);
        }
        for (other, own) in [
            (DOCKER_SOCKET, &own),
            ("/run/other.sock", &own),
            ("/run/other.sock", &OwnSocket::Usual),
            (DOCKER_SOCKET, &OwnSocket::Nowhere),
        ] {
            let mut mounts = [bind(other, DOCKER_SOCKET)];
            own.show_as_usual(&mut mounts);
            assert_ne!(mounts, [bind(DOCKER_SOCKET, DOCKER_SOCKET)], "{other} where the engine has {own:?}");
        }
        assert!(OwnSocket::Nowhere.mount(&mut declared.clone()).is_err());
        assert!(OwnSocket::Nowhere.mount(&mut declared.clone()[..1]).is_ok());
    }

    #[test]
    fn podman_tells_where_its_socket_is() {
        for (told, expected) in [
            ("unix:///run/user/1//podman.sock", OwnSocket::At("/run/user/1/podman.sock".to_owned())),
            ("/run/podman/podman.sock", OwnSocket::At("/run/podman/podman.sock".to_owned())),
            ("tcp://localhost:8080", OwnSocket::Nowhere),
            ("", OwnSocket::Nowhere),
        ] {
            let about_itself = json!({"host": {"remoteSocket": {"path": told, "exists": true}}});
            assert_eq!(OwnSocket::of_podman(&about_itself), expected, "{told}");
        }
        assert_eq!(OwnSocket::of_podman(&Value::Null), OwnSocket::Nowhere);
    }

    #[test]
    fn a_users_docker_listens_where_the_user_reaches_it() {
        let place = "/run/user/1000/docker.sock";
        for (security, expected) in [
            (vec!["name=seccomp,profile=default", "name=rootless"], OwnSocket::At(place.to_owned())),
            (vec!["name=seccomp,profile=default", "name=cgroupns"], OwnSocket::Usual),
            (vec![], OwnSocket::Usual),
        ] {
            let security: Vec<String> = security.into_iter().map(str::to_owned).collect();
            assert_eq!(OwnSocket::of_docker(place, &security), expected, "{security:?}");
        }
    }

    #[test]
    fn a_container_wants_the_socket_if_its_definition_says_so() {
        for (mounts, expected) in [
            (json!(["tmpfs /tmp", "DockerSocket { writable: false }"]), true),
            (json!(["bind /var/run/docker.sock rw /run/podman/podman.sock"]), false),
            (Value::Null, false),
        ] {
            let label = json!({"salt": "", "configuration": {"mounts": mounts}}).to_string();
            let labels = BTreeMap::from([(LABEL_CONFIGURATION.to_owned(), label)]);
            assert_eq!(wants_socket(&labels), expected, "{mounts}");
        }
        assert!(!wants_socket(&BTreeMap::new()));
    }
}
