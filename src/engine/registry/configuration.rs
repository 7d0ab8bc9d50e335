//! What Docker's daemon is configured to do with registries, which farrier does in its place: mirrors of Docker's own
//! registry, registries without TLS, and certificates for one registry.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::reference::Reference;
use crate::system::bounded_file;

/// The largest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Where registries' settings are.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfiguration {
    /// The folder of docker's client configuration, with credentials.
    pub client: PathBuf,
    /// Folders of daemons' configurations; the first that has `daemon.json` counts.
    pub daemons: Vec<PathBuf>,
}

/// A daemon's file, as far as it is about registries.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct DaemonFile {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
}

/// Where an image may be had, in the order in which it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://host:port`
    pub origin: String,
    /// The registry, as credentials and certificates name it.
    pub host: String,
    /// Whether it is one of two ways to ask the registry, of which one may get no answer at all.
    pub is_guess: bool,
}

impl RegistryConfiguration {
    /// The places of this user's and this machine's files.
    #[must_use]
    pub fn new(client: PathBuf, home: Option<&Path>) -> Self {
        let of_user = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute())
            .or_else(|| home.map(|home| home.join(".config")));
        let of_user = of_user.map(|folder| folder.join("docker"));
        Self { client, daemons: of_user.into_iter().chain([PathBuf::from("/etc/docker")]).collect() }
    }

    /// Where this image may be had. An unreadable file counts as none.
    #[must_use]
    pub fn endpoints(&self, reference: &Reference) -> Vec<Endpoint> {
        let daemon = self.daemon();
        let mirrors = if reference.is_of_docker_hub() { daemon.registry_mirrors.as_slice() } else { &[] };
        let mirrors = mirrors.iter().filter_map(|mirror| {
            let origin = mirror.trim_end_matches('/');
            let host = origin.split_once("://")?.1;
            Some(Endpoint { origin: origin.to_owned(), host: host.to_owned(), is_guess: false })
        });
        let host = &reference.host;
        let is_guess = may_be_plain(host, &daemon.insecure_registries);
        let at =
            |scheme: &str| Endpoint { origin: format!("{scheme}://{host}"), host: host.clone(), is_guess };
        let plain = is_guess.then(|| at("http"));
        mirrors.chain([at("https")]).chain(plain).collect()
    }

    /// The files with certificates of authorities that may vouch for a registry.
    #[must_use]
    pub fn certificates(&self, host: &str) -> Vec<PathBuf> {
        let folders = self.daemons.iter().map(|daemon| daemon.join("certs.d").join(host));
        let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "crt")).collect()
    }

    fn daemon(&self) -> DaemonFile {
        let file = self.daemons.iter().map(|folder| folder.join("daemon.json")).find(|file| file.exists());
        let Some(file) = file else { return DaemonFile::default() };
        let read = || {
            let text = bounded_file::text(&file, MOST_BYTES)?;
            serde_json::from_str(&text).map_err(std::io::Error::other)
        };
        read().unwrap_or_else(|error| {
            tracing::warn!("{} cannot be read: {error}", file.display());
            DaemonFile::default()
        })
    }
}

/// Whether a registry may be asked without TLS: on this host's loopback, or where the configuration says so.
fn may_be_plain(host: &str, insecure: &[String]) -> bool {
    let name = without_port(host);
    let address = address_of(host);
    let is_named = |entry: &String| {
        entry == host
            || entry == name
            || address
                .is_some_and(|address| entry.parse::<IpNet>().is_ok_and(|network| network.contains(&address)))
    };
    is_of_this_host(host) || insecure.iter().any(is_named)
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// The address that a host is, in every spelling that resolvers take for one, such as `127.1`; `None` if it is a name.
pub(super) fn address_of(host: &str) -> Option<IpAddr> {
    match url::Host::parse(without_port(host)).ok()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain(_) => None,
    }
}

pub(super) fn is_of_this_host(host: &str) -> bool {
    let name = without_port(host).trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || address_of(host).is_some_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(daemon: &str, image: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("daemon.json"), daemon).expect("written");
        let daemons = vec![folder.path().join("absent"), folder.path().to_owned()];
        let configuration = RegistryConfiguration { client: PathBuf::new(), daemons };
        let reference = Reference::parse(image).expect("a reference");
        configuration.endpoints(&reference).into_iter().map(|endpoint| endpoint.origin).collect()
    }

    #[test]
    fn an_image_is_looked_for_where_docker_would_look() {
        let mirrored = r#"{"registry-mirrors": ["https://mirror.test/", "http://10.0.0.1:5000", "nonsense"],
                           "insecure-registries": ["plain.test:80", "10.1.0.0/16"], "debug": true}"#;
        for (daemon, image, expected) in [
            ("{}", "postgres", &["https://registry-1.docker.io"][..]),
            ("{", "postgres", &["https://registry-1.docker.io"]),
            (
                mirrored,
                "postgres:16",
                &["https://mirror.test", "http://10.0.0.1:5000", "https://registry-1.docker.io"],
            ),
            (mirrored, "ghcr.io/a/b", &["https://ghcr.io"]),
            (mirrored, "plain.test:80/x", &["https://plain.test:80", "http://plain.test:80"]),
            (mirrored, "10.1.2.3:5000/x", &["https://10.1.2.3:5000", "http://10.1.2.3:5000"]),
            (mirrored, "10.2.2.3:5000/x", &["https://10.2.2.3:5000"]),
            ("{}", "localhost:5000/x", &["https://localhost:5000", "http://localhost:5000"]),
            ("{}", "127.0.0.9/x", &["https://127.0.0.9", "http://127.0.0.9"]),
            ("{}", "[::1]:5000/x", &["https://[::1]:5000", "http://[::1]:5000"]),
            ("{}", "localhost.test/x", &["https://localhost.test"]),
        ] {
            assert_eq!(endpoints(daemon, image), expected, "{image}");
        }
    }
}
