//! Which Podman: the one that the harness's own `podman` uses, or one that listens where Podman's client looks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{CONFIGURATION_BYTES, Choice, Named, NamedTls, accepts};
use crate::report::error::{Code, Problem};
use crate::system::bounded_file;

/// What names a Podman, as it was at start-up.
#[derive(Clone, Debug, Default)]
pub struct PodmanEnvironment {
    /// `CONTAINER_HOST`.
    pub host: Option<String>,
    /// `CONTAINER_CONNECTION`.
    pub connection: Option<String>,
    /// The addresses at which a service usually listens, this user's own first.
    pub usual: Vec<String>,
    /// Podman's files with connections; later ones win.
    pub files: Vec<PathBuf>,
}

impl PodmanEnvironment {
    /// Reads it from variables, for this user.
    #[must_use]
    pub fn new(text: impl Fn(&str) -> Option<String>, home: Option<&std::path::Path>) -> Self {
        let text = |name: &str| text(name).filter(|value| !value.is_empty());
        let user = rustix::process::getuid();
        let runtime = text("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", user.as_raw()));
        let of_root = user.is_root().then(|| "/run".to_owned());
        let usual = of_root.into_iter().chain([runtime]);
        let own =
            text("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home.map(|home| home.join(".config")));
        let own = own.map(|folder| folder.join("containers"));
        let in_own = |name: &str| own.as_ref().map(|folder| folder.join(name));
        let mut files =
            vec!["/usr/share/containers/containers.conf".into(), "/etc/containers/containers.conf".into()];
        files.extend(in_own("containers.conf").filter(|_| !user.is_root()));
        files.extend(text("CONTAINERS_CONF").map(PathBuf::from));
        files.extend(
            text("PODMAN_CONNECTIONS_CONF").map(PathBuf::from).or_else(|| in_own("podman-connections.json")),
        );
        Self {
            host: text("CONTAINER_HOST"),
            connection: text("CONTAINER_CONNECTION"),
            usual: usual.map(|folder| format!("unix://{folder}/podman/podman.sock")).collect(),
            files,
        }
    }

    /// Where a service may listen if nobody names an engine, and who says so.
    pub(super) fn places(&self) -> Vec<(String, String)> {
        let named = self.host.iter().map(|host| (host.clone(), "CONTAINER_HOST".to_owned()));
        let usual = self.usual.iter().map(|host| (host.clone(), "Podman's socket".to_owned()));
        named.chain(usual).collect()
    }

    /// The addresses of all connections that Podman's client knows.
    pub(super) fn of_all_connections(&self) -> Vec<String> {
        self.connections().places.into_values().map(|place| place.host).collect()
    }

    fn connections(&self) -> Connections {
        let mut all = Connections::default();
        for file in &self.files {
            let Ok(text) = bounded_file::text(file, CONFIGURATION_BYTES) else { continue };
            let is_json = file.extension().is_some_and(|extension| extension == "json");
            if is_json {
                all.add_json(&text);
            } else {
                all.add_toml(&text);
            }
        }
        all
    }
}

/// The connections that Podman knows.
#[derive(Debug, Default)]
struct Connections {
    places: BTreeMap<String, Place>,
    default: Option<String>,
}

/// Where a connection leads, and with which key.
#[derive(Debug)]
struct Place {
    host: String,
    identity: Option<PathBuf>,
}

/// Podman's `containers.conf`.
#[derive(Deserialize, Default)]
struct ConfigurationFile {
    #[serde(default)]
    engine: EngineTable,
}

#[derive(Deserialize, Default)]
struct EngineTable {
    active_service: Option<String>,
    #[serde(default)]
    service_destinations: BTreeMap<String, Destination>,
}

#[derive(Deserialize)]
struct Destination {
    uri: Option<String>,
    identity: Option<PathBuf>,
}

/// The file in which Podman 5 stores connections.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectionsFile {
    connection: Option<StoredConnections>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StoredConnections {
    default: Option<String>,
    #[serde(default)]
    connections: BTreeMap<String, StoredConnection>,
}

#[derive(Deserialize)]
struct StoredConnection {
    #[serde(rename = "URI")]
    address: Option<String>,
    #[serde(rename = "Identity")]
    identity: Option<PathBuf>,
}

impl Place {
    fn of(host: String, identity: Option<PathBuf>) -> Self {
        Self { host, identity: identity.filter(|identity| !identity.as_os_str().is_empty()) }
    }
}

impl Connections {
    fn add_toml(&mut self, text: &str) {
        let Ok(file) = toml::from_str::<ConfigurationFile>(text) else { return };
        let found = file.engine.service_destinations.into_iter();
        self.places
            .extend(found.filter_map(|(name, found)| Some((name, Place::of(found.uri?, found.identity)))));
        self.default = file.engine.active_service.or_else(|| self.default.take());
    }

    fn add_json(&mut self, text: &str) {
        let Ok(ConnectionsFile { connection: Some(stored) }) = serde_json::from_str(text) else { return };
        let found = stored.connections.into_iter();
        self.places.extend(
            found.filter_map(|(name, found)| Some((name, Place::of(found.address?, found.identity)))),
        );
        self.default = stored.default.filter(|name| !name.is_empty()).or_else(|| self.default.take());
    }
}

/// The address of the service of the Podman that the harness's own command uses, and what it was taken from: its `--url` and
/// `--connection`, `CONTAINER_HOST`, `CONTAINER_CONNECTION`; if it talks to a service, Podman's default connection; otherwise
/// this user's own.
///
/// # Errors
/// If there is no such connection, or this user's own service does not listen.
pub(super) fn resolve(
    choice: &Choice,
    is_remote: bool,
    environment: &PodmanEnvironment,
) -> Result<Named, Problem> {
    let plain = |host: String, origin: &str| Named {
        host,
        origin: origin.to_owned(),
        tls: NamedTls::Nobody,
        identity: None,
    };
    let text = |value: &std::ffi::OsString| value.to_string_lossy().into_owned();
    if let Some(host) = choice.host.as_ref().filter(|host| !host.is_empty()) {
        return Ok(plain(text(host), "the harness's --url"));
    }
    if let Some(name) = choice.context.as_ref().filter(|name| !name.is_empty()) {
        return connection(&text(name), "the harness's --connection", environment);
    }
    if let Some(host) = &environment.host {
        return Ok(plain(host.clone(), "CONTAINER_HOST"));
    }
    if let Some(name) = &environment.connection {
        return connection(name, "CONTAINER_CONNECTION", environment);
    }
    if is_remote && let Some(name) = environment.connections().default {
        return connection(&name, "Podman's default connection", environment);
    }
    let own = environment.usual.first().cloned().unwrap_or_default();
    if accepts(&own) {
        return Ok(plain(own, "Podman's socket"));
    }
    let message = format!("the harness uses Podman, whose service does not accept connections at {own}");
    let user = if rustix::process::getuid().is_root() { "" } else { "--user " };
    Err(Problem::error(Code::EngineUnreachable, message)
        .hint(format!("Start it with `systemctl {user}enable --now podman.socket`."))
        .hint(format!("Without systemd, run `podman system service --time=0 {own}` in the background.")))
}

fn connection(name: &str, origin: &str, environment: &PodmanEnvironment) -> Result<Named, Problem> {
    let origin = format!("connection `{name}`, named by {origin}");
    match environment.connections().places.remove(name) {
        Some(Place { host, identity }) => Ok(Named { host, origin, tls: NamedTls::Nobody, identity }),
        None => Err(Problem::error(Code::EngineContext, format!("Podman has no {origin}"))
            .hint("List the connections that exist with `podman system connection list`.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Client;
    use super::*;

    #[test]
    fn precedence() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let configuration = "[engine]\nactive_service = \"old\"\n[engine.service_destinations.old]\nuri = \"unix:///old\"\n\
                             [engine.service_destinations.both]\nuri = \"unix:///toml\"\n";
        std::fs::write(at("containers.conf"), configuration).expect("a file");
        let stored = r#"{"Connection":{"Default":"both","Connections":{"both":{"URI":"ssh://core@h:2/s","Identity":"/k"}}}}"#;
        std::fs::write(at("connections.json"), stored).expect("a file");
        std::fs::write(at("broken.conf"), "[engine").expect("a file");
        let own = format!("unix://{}", at("own.sock").display());
        let _listener = std::os::unix::net::UnixListener::bind(at("own.sock")).expect("a socket");
        let mut given = PodmanEnvironment {
            usual: vec![own.clone(), "unix:///other".to_owned()],
            files: [at("containers.conf"), at("absent.conf"), at("broken.conf"), at("connections.json")]
                .into(),
            ..PodmanEnvironment::default()
        };
        let host = |choice: &Choice, is_remote, given: &PodmanEnvironment| {
            resolve(choice, is_remote, given).map(|named| named.host).map_err(|problem| problem.code)
        };
        let choice = Choice { client: Client::Podman { is_remote: false }, ..Choice::default() };
        assert_eq!(host(&choice, false, &given), Ok(own.clone()));
        assert_eq!(host(&choice, true, &given), Ok("ssh://core@h:2/s".to_owned()));
        given.connection = Some("old".to_owned());
        assert_eq!(host(&choice, false, &given), Ok("unix:///old".to_owned()));
        given.host = Some("unix:///run/service".to_owned());
        assert_eq!(host(&choice, true, &given), Ok("unix:///run/service".to_owned()));
        let choice = Choice { context: Some("both".into()), ..choice };
        assert_eq!(host(&choice, false, &given), Ok("ssh://core@h:2/s".to_owned()));
        let choice = Choice { host: Some("unix:///url".into()), ..choice };
        assert_eq!(host(&choice, false, &given), Ok("unix:///url".to_owned()));

        let absent = Choice { context: Some("nowhere".into()), ..Choice::default() };
        assert_eq!(host(&absent, false, &given), Err(Code::EngineContext));
        let silent = PodmanEnvironment { usual: vec!["unix:///nonexistent/s".to_owned()], ..given };
        let silent = PodmanEnvironment { host: None, connection: None, ..silent };
        assert_eq!(host(&Choice::default(), false, &silent), Err(Code::EngineUnreachable));
    }
}
