//! The harness command as an argument list: whether it is a `run` or `create` of docker or podman, what it
//! declares, and the same list with the sidecars' variables and network added.
//!
//! Nothing here touches the engine, the environment or a file.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

pub use connection::Connection;
use connection::client_of;

use super::flag_scan::{Grammar, Scanned, scan};
use super::network_mode::NetworkMode;
use super::wrappers::{Wrapper, program_name, refuse_compose, refuse_other_tools};
use crate::engine::kinds::Client;
use crate::report::error::{Code, Problem};

/// The command behind `--`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harness {
    /// `run` or `create` of docker or podman: variables and network go into its arguments.
    Docker(Box<DockerRun>),
    /// Anything else: it runs on the host, with the variables in its environment.
    Host(HostCommand),
}

impl Harness {
    /// How the command itself says which engine it uses; all empty where it is not docker.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        match self {
            Self::Docker(run) => &run.connection,
            Self::Host(command) => &command.connection,
        }
    }
}

/// A command that runs on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCommand {
    /// The engine that it names, where it is another docker command (`docker -H … exec …`).
    pub connection: Connection,
}

/// What the docker command does with the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `docker run`.
    Run,
    /// `docker create`: only creates it and prints its id.
    Create,
}

impl Verb {
    fn of(word: &OsStr) -> Option<Self> {
        match word.as_bytes() {
            b"run" => Some(Self::Run),
            b"create" => Some(Self::Create),
            _ => None,
        }
    }

    const fn grammar(self, client: Client) -> Grammar {
        match (self, client) {
            (Self::Run, Client::Docker) => Grammar::Run,
            (Self::Create, Client::Docker) => Grammar::Create,
            (Self::Run, Client::Podman { .. }) => Grammar::PodmanRun,
            (Self::Create, Client::Podman { .. }) => Grammar::PodmanCreate,
        }
    }
}

/// A harness in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerRun {
    command: Vec<OsString>,
    verb: Verb,
    verb_index: usize,
    image: OsString,
    connection: Connection,
    network: NetworkMode,
    options: Scanned,
}

/// What is added to the arguments of a container harness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Names and values of environment variables, in any order.
    pub env: Vec<(String, String)>,
    /// The network to run on; left out where the harness names one itself.
    pub network: Option<String>,
    /// A label for the container.
    pub label: Option<String>,
    /// Names of hosts, with their addresses.
    pub hosts: Vec<(String, IpAddr)>,
}

impl DockerRun {
    /// Whether it runs or only creates the container.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// Where `run` or `create` stands in the command.
    #[must_use]
    pub const fn verb_index(&self) -> usize {
        self.verb_index
    }

    /// Where the image stands in the command.
    #[must_use]
    pub const fn image_index(&self) -> usize {
        self.options.operand
    }

    /// The image, as written; never empty.
    #[must_use]
    pub fn image(&self) -> &OsStr {
        &self.image
    }

    /// Whether the image's place names a folder (podman's `--rootfs`).
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.options.is_on("rootfs")
    }

    /// `docker run` and the like, as the user would write it.
    #[must_use]
    pub const fn form(&self) -> &'static str {
        self.verb.grammar(self.connection.client).command()
    }

    /// How it says which engine it uses.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The network that it declares.
    #[must_use]
    pub const fn network(&self) -> &NetworkMode {
        &self.network
    }

    /// `--detach`: docker returns once the container runs.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.options.is_on("detach")
    }

    /// `--interactive`: the container's standard input stays open.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.options.is_on("interactive")
    }

    /// `--tty`: the container has a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.options.is_on("tty")
    }

    /// `--rm`: the container is removed when it ends.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.options.is_on("rm")
    }

    /// `--name`; none where docker makes one up.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.last("name")
    }

    /// `--platform`.
    #[must_use]
    pub fn platform(&self) -> Option<&OsStr> {
        self.last("platform")
    }

    /// `--pull`: `always`, `missing` or `never`, as written; none means `missing`.
    #[must_use]
    pub fn pull(&self) -> Option<&OsStr> {
        self.last("pull")
    }

    /// The names of the variables that `--env` sets or passes through, in order.
    pub fn env_names(&self) -> impl Iterator<Item = &OsStr> {
        self.options.values("env").map(|value| {
            let name = value.as_bytes().split(|byte| *byte == b'=').next();
            OsStr::from_bytes(name.unwrap_or_default())
        })
    }

    /// The values of an option with a value, by its current long name (`network` has those of `--net` too),
    /// in order: `publish`, `env-file` and all others.
    #[must_use]
    pub fn values<'a>(&'a self, long: &str) -> impl DoubleEndedIterator<Item = &'a OsStr> {
        self.options.values(long)
    }

    fn last(&self, long: &str) -> Option<&OsStr> {
        self.options.values(long).next_back().filter(|value| !value.is_empty())
    }

    /// An option that only `run` has, and `create` rejects.
    #[must_use]
    pub fn only_of_run(&self) -> Option<&'static str> {
        ["detach", "detach-keys", "passwd", "preserve-fd", "preserve-fds", "rmi", "sig-proxy"]
            .into_iter()
            .find(|long| self.options.has(long))
    }

    /// `docker` or `podman` with its own options.
    #[must_use]
    pub fn client(&self) -> Vec<OsString> {
        let mut client = self.command[..self.verb_index.min(self.command.len())].to_vec();
        if client.len() > 1 && client.last().is_some_and(|word| word == "container") {
            client.pop();
        }
        client
    }

    /// The same as [`Self::inject`] for a `docker run` that becomes a `docker create`.
    #[must_use]
    pub fn inject_and_create(&self, additions: &Additions) -> Vec<OsString> {
        let mut command = self.inject(additions);
        if let Some(verb) = command.get_mut(self.verb_index) {
            *verb = "create".into();
        }
        command
    }

    /// The command with the additions directly behind its verb: `-e NAME=VALUE` sorted by name, then `--add-host`,
    /// `--label` and `--network NAME`. Everything else stands as it was, and without additions the command is the same.
    ///
    /// Docker lets a later `--env` win, so a variable that the harness sets itself keeps the harness's value.
    /// A file of `--env-file` comes before any `--env` in docker, wherever it stands, so the additions win
    /// over it.
    #[must_use]
    pub fn inject(&self, additions: &Additions) -> Vec<OsString> {
        let mut env: Vec<_> = additions.env.iter().collect();
        env.sort();
        let mut added: Vec<OsString> = Vec::new();
        for (name, value) in env {
            added.extend([OsString::from("-e"), OsString::from(format!("{name}={value}"))]);
        }
        for (name, address) in &additions.hosts {
            added.extend([OsString::from("--add-host"), OsString::from(format!("{name}:{address}"))]);
        }
        if let Some(label) = &additions.label {
            added.extend([OsString::from("--label"), OsString::from(label)]);
        }
        if let (NetworkMode::Unset, Some(network)) = (&self.network, &additions.network) {
            added.extend([OsString::from("--network"), OsString::from(network)]);
        }
        let (before, behind) =
            self.command.split_at(self.verb_index.saturating_add(1).min(self.command.len()));
        before.iter().cloned().chain(added).chain(behind.iter().cloned()).collect()
    }
}

/// Classifies the harness command and reads a container harness's options.
///
/// Where no sidecar is needed, a harness is not for farrier to judge: it runs as it is, without this.
///
/// Container-shaped are `run`, `create`, `container run` and `container create` of `docker`, `podman` and
/// `podman-remote`, with the client's own options in front and the client at any path. Everything else is a host
/// command: other verbs of the client, `docker run --help`, and shells (`sh -c "docker run …"` cannot be seen into).
///
/// # Errors
/// `harness-shape` for an empty command, for options that cannot be read, for a missing image, for networks
/// that the client would reject, and for containers started in a form that farrier does not rewrite: behind
/// `sudo`, `env` or the like, by compose, and by another tool than docker and podman.
pub fn parse(command: &[OsString]) -> Result<Harness, Problem> {
    if command.first().is_none_or(|program| program.is_empty()) {
        return Err(Problem::error(Code::HarnessShape, "no harness command follows `--`")
            .hint("Write `farrier launch [options] -- COMMAND …`, or `farrier up` to start sidecars only."));
    }
    let mut outermost: Option<&Wrapper> = None;
    let mut at = 0;
    while let Some(wrapper) = command.get(at).and_then(|program| Wrapper::of(program)) {
        outermost = outermost.or(Some(wrapper));
        match wrapper.command(command, at) {
            Some(inner) => at = inner,
            None => return Ok(Harness::Host(HostCommand::default())),
        }
    }
    refuse_other_tools(command, at)?;
    let client = command.get(at).and_then(|program| client_of(program_name(program)));
    let Some(client) = client else { return Ok(Harness::Host(HostCommand::default())) };
    let grammar = if client == Client::Docker { Grammar::Docker } else { Grammar::Podman };
    let global = scan(grammar, command, at + 1)?;
    let verb = verb(client, command, &global)?;
    if let (Some(wrapper), Some((verb, _))) = (outermost, verb) {
        return Err(wrapper.refusal(verb.grammar(client).command()));
    }
    let connection = Connection::read(client, &global)?;
    match verb {
        Some((verb, verb_index)) => container(command, connection, verb, verb_index),
        None => Ok(Harness::Host(HostCommand { connection })),
    }
}

/// `run` or `create` behind the client's own options, and where it stands; `None` for the client's other commands.
fn verb(client: Client, command: &[OsString], global: &Scanned) -> Result<Option<(Verb, usize)>, Problem> {
    if global.is_on("version") {
        return Ok(None);
    }
    let mut index = global.operand;
    match command.get(index) {
        Some(word) if word == "compose" => {
            let form = if client == Client::Docker { "docker compose" } else { "podman compose" };
            refuse_compose(command, index + 1, form)?;
        }
        Some(word) if word == "container" => index += 1,
        _ => {}
    }
    Ok(command.get(index).and_then(|word| Verb::of(word)).map(|verb| (verb, index)))
}

fn container(
    command: &[OsString],
    connection: Connection,
    verb: Verb,
    verb_index: usize,
) -> Result<Harness, Problem> {
    let grammar = verb.grammar(connection.client);
    let options = scan(grammar, command, verb_index + 1)?;
    if options.is_on("help") {
        return Ok(Harness::Host(HostCommand { connection }));
    }
    let Some(image) = command.get(options.operand).filter(|image| !image.is_empty()) else {
        let name = grammar.command();
        return Err(Problem::error(Code::HarnessShape, format!("`{name}` of the harness has no image"))
            .hint(format!("Write the image after the options: `{name} [options] IMAGE [command]`.")));
    };
    let network = NetworkMode::read(connection.client, &options)?;
    Ok(Harness::Docker(Box::new(DockerRun {
        command: command.to_vec(),
        verb,
        verb_index,
        image: image.clone(),
        connection,
        network,
        options,
    })))
}

mod connection;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
