//! The engines that there are, and which of them a command means. This is the only place that knows them all: whoever
//! adds an engine adds a file or folder beside this one, and here a kind, its place in [`EngineKind::ALL`] and its row.
//! The words of the command line follow.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::docker::{self, Docker, address};
use super::native;
use super::problem::engine_problem;
use super::registry::configuration::RegistryConfiguration;
use super::swarm::{self, Swarm};
use super::{Capabilities, Engine};
use crate::definition::{Definition, EngineName};
use crate::plan::{HarnessNetwork, OWN_NETWORK};
use crate::report::error::{Code, Problem};

pub use super::docker::address::{Choice, Client, Environment, SOCKET_NAMES, TlsOptions};

/// An engine that a command means. Nothing has been asked of it.
pub struct Opened {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where it is, and who said so: `unix:///var/run/docker.sock (docker's default)`.
    pub place: String,
    /// Whether everybody expects an engine of its kind there.
    pub is_usual: bool,
}

/// Where an engine may keep something on this host.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// What can be made again; `None` if there is no home.
    pub cache: Option<PathBuf>,
    /// What cannot.
    pub state: Option<PathBuf>,
}

/// Which engine somebody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// None: each sidecar's definition decides.
    #[default]
    Auto,
    /// One for all sidecars.
    All(EngineKind),
}

/// A kind of engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// Docker, and what has its API.
    Docker,
    /// Programs of this host, and images, without a daemon.
    Native,
    /// Docker Swarm, through one of its managers.
    Swarm,
}

/// What is known of a kind.
struct Kind {
    capabilities: Capabilities,
    /// What somebody wants who names it, for the help of the command line.
    meaning: &'static str,
    open: fn(&Choice, &Environment, &Folders) -> Result<Opened, Problem>,
    /// The only network that it has.
    network: Option<&'static str>,
    /// How the names of the networks begin that farrier makes on it for harnesses that name none.
    own_network: &'static str,
    /// Whether there may be anything on it, as far as this host tells without asking it.
    may_be_in_use: fn(&Folders) -> bool,
}

static DOCKER: Kind = Kind {
    capabilities: docker::CAPABILITIES,
    meaning: "All sidecars on Docker or Podman",
    open: open_docker,
    network: None,
    own_network: OWN_NETWORK,
    may_be_in_use: |_| true,
};

static NATIVE: Kind = Kind {
    capabilities: native::CAPABILITIES,
    meaning: "All sidecars on this host, without Docker",
    open: open_native,
    network: Some(native::NETWORK),
    own_network: OWN_NETWORK,
    may_be_in_use: |folders| native_folder(folders).is_some_and(native::is_in_use),
};

static SWARM: Kind = Kind {
    capabilities: swarm::CAPABILITIES,
    meaning: "All sidecars as services of a Docker Swarm, through a manager",
    open: open_swarm,
    network: None,
    own_network: swarm::NETWORK,
    may_be_in_use: |folders| swarm_mark(folders).is_some_and(|mark| mark.exists()),
};

impl EngineKind {
    /// All of them, in the order in which commands ask them.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Native, Self::Swarm];

    const fn row(self) -> &'static Kind {
        match self {
            Self::Docker => &DOCKER,
            Self::Native => &NATIVE,
            Self::Swarm => &SWARM,
        }
    }

    /// The one that a definition names.
    #[must_use]
    pub const fn named(name: EngineName) -> Self {
        match name {
            EngineName::Docker => Self::Docker,
            EngineName::Native => Self::Native,
            EngineName::Swarm => Self::Swarm,
        }
    }

    /// The one that runs images where nothing names another.
    #[must_use]
    pub const fn of_images() -> Self {
        Self::Docker
    }

    /// What it can do, without asking it.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        self.row().capabilities
    }

    /// Its name for people and for the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.capabilities().kind
    }

    /// What somebody wants who names it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// The network on it for a harness that meets its sidecars on this one: its only network, or its own in place of
    /// another engine's own, whose name begins so. One that the harness names has that name everywhere. A session's network
    /// exists only on engines that run sessions; on others, sidecars join the network of a launch without a session.
    #[must_use]
    pub fn meeting_on(self, network: &HarnessNetwork, own: &str) -> HarnessNetwork {
        if let Some(only) = self.network() {
            return only;
        }
        let mut network = network.clone();
        if network.session.is_some() && !self.capabilities().sessions {
            network.name.clone_from(&network.home);
            (network.session, network.is_own) = (None, true);
        }
        if network.is_own && network.session.is_none() {
            network.name = network.name.replacen(own, self.own_network(), 1);
            network.home = network.home.replacen(own, self.own_network(), 1);
        }
        network
    }

    /// The only network that it has; `None` if it has those that a harness names.
    #[must_use]
    pub fn network(self) -> Option<HarnessNetwork> {
        let name = self.row().network?;
        Some(HarnessNetwork {
            name: name.to_owned(),
            is_own: true,
            home: name.to_owned(),
            ..HarnessNetwork::default()
        })
    }

    /// How the names of the networks begin that farrier makes on it for harnesses that name none.
    #[must_use]
    pub const fn own_network(self) -> &'static str {
        self.row().own_network
    }

    /// Whether there may be anything on it, as far as this host tells without asking it.
    #[must_use]
    pub fn may_be_in_use(self, folders: &Folders) -> bool {
        (self.row().may_be_in_use)(folders)
    }

    /// The engine of this kind that this choice and environment name.
    ///
    /// # Errors
    /// If there is no such engine.
    pub fn open(
        self,
        choice: &Choice,
        environment: &Environment,
        folders: &Folders,
    ) -> Result<Opened, Problem> {
        (self.row().open)(choice, environment, folders)
    }
}

/// On which engine each sidecar of a command lives.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    asked: Selection,
    environment: Environment,
    /// Whether the harness's own command is docker's, so that Docker is meant whether it answers or not.
    is_of_docker_harness: bool,
    /// What runs images that are named by a reference. It is found out once, and only if there is one.
    of_images: Arc<OnceLock<ForImages>>,
}

/// What runs images that are named by a reference.
#[derive(Clone, Debug)]
struct ForImages {
    kind: EngineKind,
    /// Why it is not the one that everybody expects.
    reason: Option<String>,
}

impl Engines {
    /// What was asked for, in an environment that may name an engine.
    #[must_use]
    pub fn new(asked: Selection, environment: Environment) -> Self {
        Self { asked, environment, ..Self::default() }
    }

    /// For a command whose harness is docker's, or is not.
    #[must_use]
    pub fn of_harness(self, is_of_docker_harness: bool) -> Self {
        Self { is_of_docker_harness, of_images: Arc::default(), ..self }
    }

    /// For a command that asks no engine anything, not even whether it is there.
    #[must_use]
    pub fn as_expected(self) -> Self {
        let expected = ForImages { kind: EngineKind::of_images(), reason: None };
        Self { of_images: Arc::new(OnceLock::from(expected)), ..self }
    }

    /// What was asked for.
    #[must_use]
    pub const fn asked(&self) -> Selection {
        self.asked
    }

    /// How the names of the networks begin that farrier makes for harnesses of these sidecars that name none. Of several
    /// engines with networks it is the first one's.
    #[must_use]
    pub fn own_network<'a>(&self, definitions: impl IntoIterator<Item = &'a Definition>) -> &'static str {
        let kinds = definitions.into_iter().map(|definition| self.of(definition));
        let first = kinds.filter(|kind| kind.network().is_none()).min();
        first.map_or(OWN_NETWORK, EngineKind::own_network)
    }

    /// The engine on which a definition's sidecar lives.
    #[must_use]
    pub fn of(&self, definition: &Definition) -> EngineKind {
        match self.asked {
            Selection::All(kind) => kind,
            Selection::Auto => match definition.container.engine {
                Some(name) => EngineKind::named(name),
                None if definition.needs_this_host() => EngineKind::Native,
                None => self.of_images(),
            },
        }
    }

    /// The one for images by reference, or the one that was asked for.
    #[must_use]
    pub fn of_images(&self) -> EngineKind {
        match self.asked {
            Selection::All(kind) => kind,
            Selection::Auto => self.for_images().kind,
        }
    }

    /// Why images by reference run on another engine than everybody expects; `None` if they do not.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self.asked {
            Selection::All(_) => None,
            Selection::Auto => self.for_images().reason.as_deref(),
        }
    }

    fn for_images(&self) -> &ForImages {
        self.of_images.get_or_init(|| {
            let expected = ForImages { kind: EngineKind::of_images(), reason: None };
            if self.is_of_docker_harness || !EngineKind::Native.capabilities().images {
                return expected;
            }
            // An address that somebody named is meant, and so is one that is wrong.
            let Ok(address) = address::resolve(&Choice::default(), &self.environment) else {
                return expected;
            };
            let tried = if address.is_default { address.try_socket() } else { Ok(()) };
            let Err(error) = tried else { return expected };
            let reason = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("Docker refuses this user at {}", address.shown())
                }
                _ => format!("Docker does not answer at {}", address.shown()),
            };
            tracing::info!("{reason}: images run on the engine `native`");
            ForImages { kind: EngineKind::Native, reason: Some(reason) }
        })
    }
}

/// Does what an engine executes farrier itself for, and gives the exit code; `None` if these arguments are a user's.
#[must_use]
pub fn help_engine(arguments: &[OsString]) -> Option<u8> {
    native::help(arguments)
}

fn open_docker(choice: &Choice, environment: &Environment, folders: &Folders) -> Result<Opened, Problem> {
    let address = address::resolve(choice, environment)?;
    let (place, is_usual) = (address.place(), address.is_usual());
    let engine = Docker::open(&address, folders.cache.clone());
    let engine = engine.map_err(|error| engine_problem(&format!("use the engine at {place}"), &error))?;
    Ok(Opened { engine: Arc::new(engine), place, is_usual })
}

/// The file that says that there may be services of this user's.
fn swarm_mark(folders: &Folders) -> Option<PathBuf> {
    folders.state.as_ref().map(|state| state.join(swarm::IN_USE))
}

fn open_swarm(choice: &Choice, environment: &Environment, folders: &Folders) -> Result<Opened, Problem> {
    let address = address::resolve(choice, environment)?;
    let (place, is_usual) = (address.place(), address.is_usual());
    let engine = Swarm::open(&address, swarm_mark(folders));
    let engine = engine.map_err(|error| engine_problem(&format!("use the Swarm at {place}"), &error))?;
    Ok(Opened { engine: Arc::new(engine), place, is_usual })
}

/// How registries are reached from this host, with the credentials of docker's client.
#[must_use]
pub fn registries(environment: &Environment) -> RegistryConfiguration {
    configuration_of(&Choice::default(), environment)
}

fn configuration_of(choice: &Choice, environment: &Environment) -> RegistryConfiguration {
    let client = address::client_folder(choice, environment);
    RegistryConfiguration::new(client, environment.home.as_deref())
}

fn native_folder(folders: &Folders) -> Option<PathBuf> {
    folders.state.as_ref().map(|state| state.join(native::FOLDER))
}

fn open_native(choice: &Choice, environment: &Environment, folders: &Folders) -> Result<Opened, Problem> {
    let registries = configuration_of(choice, environment);
    let folder = native_folder(folders).ok_or_else(|| {
        let message = "the engine `native` needs a folder for its state, and there is no home directory";
        Problem::error(Code::StateUnusable, message).hint("Set HOME, or XDG_STATE_HOME.")
    })?;
    let place = folder.display().to_string();
    Ok(Opened { engine: native::open(folder, registries)?, place, is_usual: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::session::Session;

    #[test]
    fn each_engine_makes_its_own_network() {
        let network = |name: &str, is_own| HarnessNetwork {
            name: name.to_owned(),
            home: name.to_owned(),
            is_own,
            ..HarnessNetwork::default()
        };
        for (kind, named, is_own, own, expected) in [
            (EngineKind::Docker, "farrier-1f", true, "farrier", "farrier-1f"),
            (EngineKind::Swarm, "farrier-1f", true, "farrier", "farrier-swarm-1f"),
            (EngineKind::Swarm, "farrier-swarm-1f", true, "farrier-swarm", "farrier-swarm-1f"),
            (EngineKind::Swarm, "farrier-1f", false, "farrier", "farrier-1f"),
            (EngineKind::Native, "farrier-1f", true, "farrier", native::NETWORK),
        ] {
            let found = kind.meeting_on(&network(named, is_own), own);
            assert_eq!(found.name, expected, "{} {named}", kind.name());
        }
    }

    #[test]
    fn only_an_engine_with_sessions_gets_the_network_of_one() {
        let session = Session { id: "0123456789abcdef".to_owned(), host: "host".to_owned() };
        let (of_session, home) = ("farrier-session-0123456789abcdef", "farrier-1f");
        let network = HarnessNetwork {
            name: of_session.to_owned(),
            home: home.to_owned(),
            is_own: true,
            session: Some(session),
            ..HarnessNetwork::default()
        };
        for (kind, name, expected_home, has_session) in [
            (EngineKind::Docker, of_session, home, true),
            (EngineKind::Swarm, "farrier-swarm-1f", "farrier-swarm-1f", false),
            (EngineKind::Native, native::NETWORK, native::NETWORK, false),
        ] {
            let found = kind.meeting_on(&network, "farrier");
            assert_eq!((found.name.as_str(), found.home.as_str()), (name, expected_home), "{}", kind.name());
            assert_eq!((found.session.is_some(), found.is_own), (has_session, true), "{}", kind.name());
        }
    }

    #[test]
    fn a_definition_names_its_engine() {
        use crate::definition::fuzzing::definition;
        for (line, asked, expected) in [
            ("engine = 'swarm'", Selection::Auto, EngineKind::Swarm),
            ("engine = 'native'", Selection::Auto, EngineKind::Native),
            ("engine = 'docker'", Selection::Auto, EngineKind::Docker),
            ("", Selection::Auto, EngineKind::of_images()),
            ("engine = 'swarm'", Selection::All(EngineKind::Docker), EngineKind::Docker),
        ] {
            let text = format!("image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\n{line}\n");
            let found = definition("db", &format!("lifecycle = 'shared'\n{text}")).expect("a definition");
            let engines = Engines::new(asked, Environment::default()).as_expected();
            assert_eq!(engines.of(&found), expected, "{line}");
            let name = found.container.engine.map(EngineName::as_str);
            let is_same = name.is_none_or(|name| asked != Selection::Auto || name == expected.name());
            assert!(is_same, "both go by one name: {line}");
        }
    }
}
