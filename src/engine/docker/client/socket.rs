//! The engine's own socket, which a definition wants by `docker-socket`. It is where Docker listens if nothing else is said, unless
//! the engine is a Podman or belongs to a user: at the usual place, another engine may listen.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use bollard::models::SystemInfo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::definition::is_engine_socket;
use crate::engine::docker::address::EngineAddress;
use crate::engine::docker::api::Mounted;
use crate::engine::docker::spec::{DOCKER_SOCKET, NO_SOCKET, SOCKET_NEEDED};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};
use crate::plan::sidecar::LABEL_CONFIGURATION;

/// How an engine is reached, as far as that tells where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// At Docker's usual place, on this host or another one.
    Usual,
    /// At this socket of this host, which may be a link, or lead elsewhere.
    Here(String),
    /// At this socket of its own host.
    There(String),
    /// Without a socket.
    Otherwise,
}

impl Reached {
    /// How an address leads to its engine.
    pub fn by(address: &EngineAddress) -> Self {
        if address.is_usual() {
            return Self::Usual;
        }
        let ssh = address.host.strip_prefix("ssh://");
        match (address.host.strip_prefix("unix://"), ssh.map(|place| place.find('/').map(|at| &place[at..])))
        {
            (Some(path), _) => Self::Here(path.to_owned()),
            // The usual place, under either of its names.
            (_, Some(None | Some("/" | DOCKER_SOCKET | "/run/docker.sock"))) => Self::Usual,
            (_, Some(Some(path))) => Self::There(path.to_owned()),
            _ => Self::Otherwise,
        }
    }
}

/// Where an engine's own socket is, on the engine's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnSocket {
    /// At Docker's usual place.
    Usual,
    At(String),
    /// At none that farrier knows.
    Unknown,
}

impl OwnSocket {
    /// At a path, as engines show what they mounted from there.
    fn at(path: &str) -> Self {
        let mut clean = PathBuf::new();
        for component in Path::new(path).components() {
            match component {
                Component::ParentDir => drop(clean.pop()),
                component => clean.push(component),
            }
        }
        match clean.to_str() {
            Some(path) if path.starts_with('/') => Self::At(path.to_owned()),
            _ => Self::Unknown,
        }
    }

    /// As Podman tells about itself.
    pub fn of_podman(about_itself: &Value) -> Self {
        let told =
            about_itself.pointer("/host/remoteSocket/path").and_then(Value::as_str).unwrap_or_default();
        Self::at(told.strip_prefix("unix://").unwrap_or(told))
    }

    /// As a Docker tells about itself. That of a user listens in the user's folder.
    pub async fn of_docker(reached: &Reached, info: &SystemInfo) -> Self {
        let mut security = info.security_options.iter().flatten().flat_map(|option| option.split(','));
        if !security.any(|part| part == "name=rootless") {
            return Self::Usual;
        }
        match reached {
            Reached::Usual => Self::Usual,
            Reached::There(path) => Self::at(path),
            // What accepts may only carry it to the engine, as those of virtual machines and tunnels do.
            Reached::Here(path)
                if info.name.as_deref() == rustix::system::uname().nodename().to_str().ok() =>
            {
                listener(path).await.map_or(Self::Unknown, |path| Self::at(&path))
            }
            Reached::Here(_) | Reached::Otherwise => Self::Unknown,
        }
    }

    /// Mounts it where a definition wants the engine's.
    ///
    /// # Errors
    /// If it is unknown.
    pub fn mount(&self, mounts: &mut [Mounted]) -> EngineResult<()> {
        for mount in mounts.iter_mut().filter(|mount| is_at_socket(mount)) {
            match self {
                Self::Usual => {}
                Self::At(path) => path.clone_into(&mut mount.source),
                Self::Unknown => {
                    let error = EngineError::new(EngineErrorKind::Refused, NO_SOCKET);
                    return Err(EngineError { hints: vec![SOCKET_NEEDED], ..error });
                }
            }
        }
        Ok(())
    }

    /// The reverse of [`OwnSocket::mount`]; another engine's socket is none that a definition wants.
    pub fn show_as_usual(&self, mounts: &mut [Mounted]) {
        let own = match self {
            Self::Usual => return,
            Self::At(path) => Some(path.as_str()),
            Self::Unknown => None,
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

/// The path at which whoever accepts there listens, which is another one if a link leads to it.
async fn listener(path: &str) -> Option<String> {
    let connection = UnixStream::connect(path).await.ok()?;
    let address = connection.peer_addr().ok()?;
    address.as_pathname()?.to_str().map(str::to_owned)
}

/// Whether a container has something at the place of the engine's socket.
pub(super) fn has_socket(mounts: &[Mounted]) -> bool {
    mounts.iter().any(is_at_socket)
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

    fn at(path: &str) -> OwnSocket {
        OwnSocket::At(path.to_owned())
    }

    #[test]
    fn who_wants_the_engines_socket_gets_its_own() {
        let bind = |source: &str, target: &str| Mounted {
            kind: "bind".to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            writable: false,
        };
        let declared = [bind("/data", "/data"), bind(DOCKER_SOCKET, DOCKER_SOCKET)];
        let own = at("/run/user/1000/podman/podman.sock");
        for (own, mounted) in
            [(&own, "/run/user/1000/podman/podman.sock"), (&OwnSocket::Usual, DOCKER_SOCKET)]
        {
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
            (DOCKER_SOCKET, &OwnSocket::Unknown),
        ] {
            let mut mounts = [bind(other, DOCKER_SOCKET)];
            own.show_as_usual(&mut mounts);
            assert_ne!(mounts, [bind(DOCKER_SOCKET, DOCKER_SOCKET)], "{other} where the engine has {own:?}");
        }
        assert!(OwnSocket::Unknown.mount(&mut declared.clone()).is_err());
        assert!(OwnSocket::Unknown.mount(&mut declared.clone()[..1]).is_ok());
    }

    #[test]
    fn podman_tells_where_its_socket_is() {
        for (told, expected) in [
            ("unix:///run/user/1//podman.sock", at("/run/user/1/podman.sock")),
            ("/run/x/../podman/./podman.sock", at("/run/podman/podman.sock")),
            ("tcp://localhost:8080", OwnSocket::Unknown),
            ("", OwnSocket::Unknown),
        ] {
            let about_itself = json!({"host": {"remoteSocket": {"path": told, "exists": true}}});
            assert_eq!(OwnSocket::of_podman(&about_itself), expected, "{told}");
        }
        assert_eq!(OwnSocket::of_podman(&Value::Null), OwnSocket::Unknown);
    }

    #[test]
    fn an_address_tells_where_the_engine_listens() {
        for (host, expected) in [
            ("unix:///var/run/docker.sock", Reached::Usual),
            ("unix:///run/docker.sock", Reached::Usual),
            ("unix:///run/user/1/docker.sock", Reached::Here("/run/user/1/docker.sock".to_owned())),
            ("ssh://me@host/run/user/1/docker.sock", Reached::There("/run/user/1/docker.sock".to_owned())),
            ("ssh://host/run/docker.sock", Reached::Usual),
            ("ssh://host/", Reached::Usual),
            ("ssh://host", Reached::Usual),
            ("tcp://host:2376", Reached::Otherwise),
        ] {
            let address = EngineAddress { host: host.to_owned(), ..EngineAddress::default() };
            assert_eq!(Reached::by(&address), expected, "{host}");
        }
    }

    #[tokio::test]
    async fn a_users_docker_listens_where_it_accepts() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&socket, &link).expect("a link");
        let here = |path: &Path| Reached::Here(path.to_str().expect("UTF-8").to_owned());
        let own = at(socket.to_str().expect("UTF-8"));
        let this = rustix::system::uname().nodename().to_str().expect("UTF-8").to_owned();
        let rootless = "name=seccomp,profile=default name=rootless";
        for (reached, name, security, expected) in [
            (here(&socket), this.as_str(), rootless, own.clone()),
            (here(&link), &this, rootless, own.clone()),
            (here(&socket), "a-virtual-machine", rootless, OwnSocket::Unknown),
            (here(&folder.path().join("none")), &this, rootless, OwnSocket::Unknown),
            (
                Reached::There("/run/user/1//docker.sock".to_owned()),
                "far",
                rootless,
                at("/run/user/1/docker.sock"),
            ),
            (Reached::Otherwise, &this, rootless, OwnSocket::Unknown),
            (Reached::Usual, &this, rootless, OwnSocket::Usual),
            (here(&socket), &this, "name=seccomp,profile=default name=cgroupns", OwnSocket::Usual),
            (Reached::Otherwise, "far", "", OwnSocket::Usual),
        ] {
            let security = security.split(' ').map(str::to_owned).collect();
            let info = SystemInfo {
                name: Some(name.to_owned()),
                security_options: Some(security),
                ..SystemInfo::default()
            };
            assert_eq!(OwnSocket::of_docker(&reached, &info).await, expected, "{reached:?} {info:?}");
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
