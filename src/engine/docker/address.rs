//! Which engine: the one that the harness's own `docker` or `podman` would talk to.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::report::error::{Code, Problem};
use crate::system::bounded_file;
use crate::system::digest::sha256_hex;

pub use encryption::{TlsFiles, TlsOptions};
pub use podman::PodmanEnvironment;
pub use sockets::NAMES as SOCKET_NAMES;

mod encryption;
mod podman;
mod sockets;

/// The socket that Docker listens on where nothing else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// The largest file of a client's configuration that is read, in bytes.
pub(super) const CONFIGURATION_BYTES: u64 = 8 << 20;

/// Where the engine is, and who said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineAddress {
    /// `unix://…`, `tcp://…`, `http://…`, `https://…` or `ssh://…`.
    pub host: String,
    /// What encrypts the connection; `None` if it is not encrypted, or by SSH.
    pub tls: Option<TlsFiles>,
    /// The key for SSH, if Podman's connection names one.
    pub identity: Option<PathBuf>,
    /// What it was taken from, for messages.
    pub origin: String,
    /// The folder of docker's client configuration.
    pub config: PathBuf,
    /// Whether nobody named it.
    pub is_default: bool,
}

impl EngineAddress {
    /// The address as messages show it: without a password.
    #[must_use]
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.host.split_once("://").filter(|(scheme, _)| *scheme != "unix") else {
            return self.host.clone();
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
        match authority.rsplit_once('@').and_then(|(user, place)| Some((user.split_once(':')?.0, place))) {
            Some((user, place)) => format!("{scheme}://{user}:…@{place}{path}"),
            None => self.host.clone(),
        }
    }

    /// The address and what it was taken from, as messages show them.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} ({})", self.shown(), self.origin)
    }

    /// Whether it is where Docker listens if nothing else is said.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        // `/var/run` is a link to `/run`.
        [DEFAULT_HOST, "unix:///run/docker.sock"].contains(&self.host.as_str())
    }

    /// Tries whether somebody accepts connections there now, if it is a socket of this host.
    ///
    /// # Errors
    /// If nobody does, or not from this user.
    pub fn try_socket(&self) -> io::Result<()> {
        let Some(socket) = self.host.strip_prefix("unix://") else { return Ok(()) };
        std::os::unix::net::UnixStream::connect(socket).map(drop)
    }

    /// Whether it is a socket of this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }
}

/// A command-line client whose engine is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// `docker`.
    #[default]
    Docker,
    /// `podman`.
    Podman {
        /// Whether it talks to a service in any case.
        is_remote: bool,
    },
}

/// What the harness's own argv says about the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which client it is.
    pub client: Client,
    /// `-H`, or podman's `--url`.
    pub host: Option<OsString>,
    /// `--context`, or podman's `--connection`.
    pub context: Option<OsString>,
    /// `--config`.
    pub config: Option<OsString>,
    /// What it says about encryption.
    pub tls: TlsOptions,
}

/// The variables that decide, as they were at start-up.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_CONFIG`.
    pub config: Option<PathBuf>,
    /// `DOCKER_TLS_VERIFY` or `DOCKER_TLS`.
    pub tls: bool,
    /// `DOCKER_CERT_PATH`.
    pub certificates: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// What names a Podman. It is used if the harness is Podman's, or if nothing names an engine and Docker does not answer.
    pub podman: PodmanEnvironment,
}

impl Environment {
    /// Reads it from these variables.
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let text = |name: &str| variable(name)?.into_string().ok();
        let is_set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            config: variable("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from),
            tls: ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].iter().any(is_set),
            certificates: variable("DOCKER_CERT_PATH").filter(|value| !value.is_empty()).map(PathBuf::from),
            podman: PodmanEnvironment::new(text, home.as_deref()),
            home,
        }
    }
}

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: std::collections::BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
    #[serde(rename = "SkipTLSVerify", default)]
    skips_verification: bool,
}

/// Where an engine is, in the words of whoever named it.
struct Named {
    host: String,
    origin: String,
    tls: NamedTls,
    identity: Option<PathBuf>,
}

/// Who says how the connection is encrypted.
enum NamedTls {
    /// Options and variables.
    Client,
    /// The files of a context, which need not be there.
    Context(PathBuf),
    /// Nobody.
    Nobody,
}

impl Named {
    fn of_client(host: impl Into<String>, origin: &str) -> Self {
        Self { host: host.into(), origin: origin.to_owned(), tls: NamedTls::Client, identity: None }
    }
}

/// Resolves the address: the harness's own options, `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context of docker's
/// configuration, the default socket; if nobody accepts connections there, a socket of Podman's where somebody does.
/// For a harness of Podman's, what its own client uses.
///
/// # Errors
/// If the context does not exist, its address is of a kind that is not supported, or its certificates are missing.
pub fn resolve(choice: &Choice, environment: &Environment) -> Result<EngineAddress, Problem> {
    let config = client_folder(choice, environment);
    let text = |value: &OsString| value.to_string_lossy().into_owned();
    let mut is_default = false;
    let named = if let Client::Podman { is_remote } = choice.client {
        podman::resolve(choice, is_remote, &environment.podman)?
    } else if let Some(host) = &choice.host {
        // To docker, `-H ""` is the default socket.
        let host = if host.is_empty() { DEFAULT_HOST.to_owned() } else { text(host) };
        Named::of_client(host, "the harness's -H")
    } else if let Some(context) = &choice.context {
        from_context(&config, &text(context), "the harness's --context", environment)?
    } else if let Some(host) = environment.host.as_ref().filter(|host| !host.is_empty()) {
        Named::of_client(host, "DOCKER_HOST")
    } else if let Some(context) = environment.context.as_ref().filter(|context| !context.is_empty()) {
        from_context(&config, context, "DOCKER_CONTEXT", environment)?
    } else if let Some(context) = current_context(&config) {
        from_context(&config, &context, "docker's current context", environment)?
    } else if let Some(podman) = podman_instead(&environment.podman) {
        podman
    } else {
        is_default = true;
        Named::of_client(DEFAULT_HOST, "docker's default")
    };
    let Named { host, origin, tls, identity } = named;
    let host = with_scheme(&host);
    let tls = match tls {
        NamedTls::Client => encryption::of_client(&host, &choice.tls, environment, &config)?,
        NamedTls::Context(folder) => encryption::of_context(&host, &folder),
        NamedTls::Nobody => None,
    };
    supported(EngineAddress { host, tls, identity, origin, config, is_default })
}

/// The first socket at which Podman accepts connections; none as long as Docker does.
fn podman_instead(environment: &PodmanEnvironment) -> Option<Named> {
    let places = environment.places();
    let is_without = !places.is_empty() && !accepts(DEFAULT_HOST);
    let (host, origin) = is_without.then(|| first_that_accepts(&places)).flatten()?;
    let origin = format!("{origin}, because Docker does not accept connections at {DEFAULT_HOST}");
    Some(Named { host, origin, tls: NamedTls::Nobody, identity: None })
}

fn first_that_accepts(places: &[(String, String)]) -> Option<(String, String)> {
    places.iter().find(|(host, _)| accepts(host)).cloned()
}

fn accepts(host: &str) -> bool {
    let socket = host.strip_prefix("unix://");
    socket.is_some_and(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())
}

/// The folder of docker's client configuration.
#[must_use]
pub fn client_folder(choice: &Choice, environment: &Environment) -> PathBuf {
    let named = choice.config.as_ref().map(PathBuf::from).or_else(|| environment.config.clone());
    let default = || environment.home.as_ref().map(|home| home.join(".docker"));
    named.or_else(default).unwrap_or_default()
}

fn current_context(config: &Path) -> Option<String> {
    let text = bounded_file::text(&config.join("config.json"), CONFIGURATION_BYTES).ok()?;
    let parsed: ClientConfig = serde_json::from_str(&text).ok()?;
    parsed.current_context.filter(|context| !context.is_empty())
}

/// The addresses of all contexts of docker's client, as far as they can be read.
fn of_all_contexts(config: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(config.join("contexts/meta")).into_iter().flatten().flatten();
    let host = |folder: std::fs::DirEntry| {
        let text = bounded_file::text(&folder.path().join("meta.json"), CONFIGURATION_BYTES).ok()?;
        serde_json::from_str::<ContextMeta>(&text).ok()?.endpoints.remove("docker")?.host
    };
    folders.filter_map(host).collect()
}

fn from_context(
    config: &Path,
    name: &str,
    origin: &str,
    environment: &Environment,
) -> Result<Named, Problem> {
    let origin = format!("context `{name}`, named by {origin}");
    if name == "default" {
        // As docker's client: this context is what the environment says.
        let host = environment.host.as_deref().filter(|host| !host.is_empty());
        return Ok(Named::of_client(host.map_or_else(|| DEFAULT_HOST.to_owned(), with_scheme), &origin));
    }
    let folder = sha256_hex(name);
    let contexts = config.join("contexts");
    let path = contexts.join("meta").join(&folder).join("meta.json");
    let endpoint = bounded_file::text(&path, CONFIGURATION_BYTES)
        .ok()
        .and_then(|text| serde_json::from_str::<ContextMeta>(&text).ok())
        .and_then(|mut meta| meta.endpoints.remove("docker"));
    let Some(ContextEndpoint { host: Some(host), skips_verification }) = endpoint else {
        return Err(Problem::error(Code::EngineContext, format!("no docker endpoint for {origin}"))
            .hint("List the contexts that exist with `docker context ls`.")
            .hint("Or set DOCKER_HOST to the engine's address."));
    };
    if skips_verification {
        let message =
            format!("the {origin}, skips the check of the engine's certificate, which farrier never does");
        return Err(Problem::error(Code::EngineContext, message).hint(format!(
            "Give the context the engine's authority: `docker context update {name} --docker host={host},ca=ca.pem`, with \
             `cert` and `key` as before."
        )));
    }
    Ok(Named {
        host,
        origin,
        tls: NamedTls::Context(contexts.join("tls").join(folder).join("docker")),
        identity: None,
    })
}

/// `docker -H` accepts an address without a scheme.
fn with_scheme(host: &str) -> String {
    if host.contains("://") {
        host.to_owned()
    } else if host.starts_with('/') {
        format!("unix://{host}")
    } else {
        format!("tcp://{host}")
    }
}

fn supported(address: EngineAddress) -> Result<EngineAddress, Problem> {
    let scheme = address.host.split("://").next().unwrap_or_default();
    if ["unix", "tcp", "http", "https", "ssh"].contains(&scheme) {
        return Ok(address);
    }
    let message = format!(
        "the engine's address {} has the scheme `{scheme}`, which farrier does not support",
        address.place()
    );
    Err(Problem::error(Code::EngineContext, message)
        .hint("Name the engine by an address that begins with `unix://`, `tcp://` or `ssh://`."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(home: &Path) -> Environment {
        Environment { home: Some(home.to_owned()), ..Environment::default() }
    }

    fn write_context(home: &Path, name: &str, host: &str) {
        let folder = sha256_hex(name);
        let folder = home.join(".docker/contexts/meta").join(folder);
        std::fs::create_dir_all(&folder).expect("folder");
        let meta = serde_json::json!({"Name": name, "Endpoints": {"docker": {"Host": host}}});
        std::fs::write(folder.join("meta.json"), meta.to_string()).expect("meta");
    }

    #[test]
    fn sockets_of_contexts_that_are_not_in_use_are_known() {
        let home = tempfile::tempdir().expect("folder");
        write_context(home.path(), "other", "unix:///somewhere/engine.sk");
        let known =
            Environment { host: Some("unix:///mine.sock".to_owned()), ..environment(home.path()) }.sockets();
        for path in ["/somewhere/engine.sk", "/mine.sock"] {
            assert!(known.contains(&PathBuf::from(path)), "{path}: {known:?}");
        }
    }

    #[test]
    fn precedence() {
        let home = tempfile::tempdir().expect("folder");
        write_context(home.path(), "remote", "tcp://10.0.0.1:2375");
        write_context(home.path(), "rootless", "unix:///run/user/1000/docker.sock");
        let mut given = environment(home.path());
        let host = |choice: &Choice, given: &Environment| resolve(choice, given).map(|found| found.host);

        assert_eq!(host(&Choice::default(), &given), Ok(DEFAULT_HOST.to_owned()));
        std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext":"rootless"}"#)
            .expect("config");
        assert_eq!(host(&Choice::default(), &given), Ok("unix:///run/user/1000/docker.sock".to_owned()));
        given.context = Some("remote".to_owned());
        assert_eq!(host(&Choice::default(), &given), Ok("tcp://10.0.0.1:2375".to_owned()));
        given.host = Some("unix:///a.sock".to_owned());
        assert_eq!(host(&Choice::default(), &given), Ok("unix:///a.sock".to_owned()));
        let choice = Choice { context: Some("rootless".into()), ..Choice::default() };
        assert_eq!(host(&choice, &given), Ok("unix:///run/user/1000/docker.sock".to_owned()));
        let choice = Choice { host: Some("localhost:2375".into()), ..choice };
        assert_eq!(host(&choice, &given), Ok("tcp://localhost:2375".to_owned()));
        // Docker's client takes DOCKER_HOST for the context `default`.
        let choice = Choice { context: Some("default".into()), ..Choice::default() };
        assert_eq!(host(&choice, &given), Ok("unix:///a.sock".to_owned()));
        given.host = None;
        assert_eq!(host(&choice, &given), Ok(DEFAULT_HOST.to_owned()));
    }

    #[test]
    fn a_password_is_not_shown() {
        for (host, shown) in [
            ("ssh://me:secret@h:22/run/x", "ssh://me:…@h:22/run/x"),
            ("tcp://me:se@cret@h:2375", "tcp://me:…@h:2375"),
            ("ssh://me@h", "ssh://me@h"),
            ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
            ("unix:///a:b@c/d.sock", "unix:///a:b@c/d.sock"),
        ] {
            let address = EngineAddress { host: host.to_owned(), ..EngineAddress::default() };
            assert_eq!(address.shown(), shown, "{host}");
        }
    }

    #[test]
    fn a_socket_of_podman_is_used_if_somebody_listens_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| format!("unix://{}", folder.path().join(name).display());
        let at = |name: &str| (path(name), format!("{name} says so"));
        let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("live")).expect("a socket");
        assert_eq!(first_that_accepts(&[at("absent")]), None);
        assert_eq!(first_that_accepts(&[at("absent"), at("live")]), Some(at("live")));
        assert_eq!(first_that_accepts(&[("tcp://127.0.0.1:1".to_owned(), String::new())]), None);
    }

    #[test]
    fn refusals_name_where_the_address_came_from() {
        let home = tempfile::tempdir().expect("folder");
        let given = environment(home.path());
        for (choice, fragment) in [
            (Choice { context: Some("nowhere".into()), ..Choice::default() }, "context `nowhere`"),
            (Choice { host: Some("fd://3".into()), ..Choice::default() }, "the harness's -H"),
            (Choice { host: Some("npipe:////./pipe/docker".into()), ..Choice::default() }, "`npipe`"),
        ] {
            let problem = resolve(&choice, &given).expect_err("refused");
            assert_eq!(problem.code, Code::EngineContext);
            assert!(problem.message.contains(fragment), "{}", problem.message);
            assert!(!problem.hints.is_empty());
        }
    }
}
