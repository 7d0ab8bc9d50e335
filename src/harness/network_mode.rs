//! What a harness's `--network` options mean for reaching sidecars.

use std::ffi::OsStr;

use super::flag_scan::Scanned;
use crate::engine::kinds::Client;
use crate::report::error::{Code, Problem};

/// The network that a container harness declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// None is named: farrier adds its own.
    Unset,
    /// Networks that somebody made, by name or id, in order and never empty.
    Named(Vec<String>),
    /// `host`: the harness shares the engine host's addresses.
    Host,
    /// `none`: no network at all.
    None,
    /// `container:NAME`: another container's network, by its name or id.
    Container(String),
    /// `bridge` or `default`: the client's default network, where no names resolve.
    DefaultBridge,
    /// A mode of podman's without any other container: `slirp4netns`, `pasta` and `ns:PATH`.
    Alone(String),
    /// The network of a pod of podman's, by the pod's name.
    Pod(String),
}

impl NetworkMode {
    /// Reads it off the options of `run` or `create`.
    ///
    /// # Errors
    /// `harness-shape` for what the client rejects.
    pub fn read(client: Client, options: &Scanned) -> Result<Self, Problem> {
        let values = options.values("network");
        if client == Client::Docker {
            return Self::of_docker(values);
        }
        let pod = options.values("pod").chain(options.values("pod-id-file")).next_back();
        match pod.filter(|pod| !pod.is_empty()) {
            Some(pod) => Ok(Self::Pod(pod.to_string_lossy().into_owned())),
            None => Self::of_podman(values),
        }
    }

    /// Reads the values of all `--network` options of docker, each plain or in the form `name=NETWORK,alias=ALIAS`.
    ///
    /// # Errors
    /// `harness-shape` for what docker rejects: an empty name, a value that is not text, a network that is
    /// named twice, `host`, `none`, `bridge` or `container:…` beside another one, and modes that only podman
    /// has.
    fn of_docker<'a>(values: impl IntoIterator<Item = &'a OsStr>) -> Result<Self, Problem> {
        let targets = values.into_iter().map(target).collect::<Result<Vec<_>, _>>()?;
        Self::of_all(&targets, Client::Docker)
    }

    /// Reads the values of all `--network` options of podman: each a mode or networks, with options behind a colon.
    fn of_podman<'a>(values: impl IntoIterator<Item = &'a OsStr>) -> Result<Self, Problem> {
        let mut targets = Vec::new();
        for value in values {
            let value = as_text(value)?;
            let is_network = !value.contains(':') || value.starts_with("bridge:");
            if is_network {
                targets.extend(value.split(':').next().unwrap_or_default().split(',').map(str::to_owned));
            } else {
                targets.push(value.to_owned());
            }
        }
        Self::of_all(&targets, Client::Podman { is_remote: false })
    }

    fn of_all(targets: &[String], client: Client) -> Result<Self, Problem> {
        let mode = |target: &str| match client {
            Client::Docker => Self::of(target),
            Client::Podman { .. } => Self::of_podmans(target),
        };
        match targets {
            [] => Ok(Self::Unset),
            [only] => mode(only),
            several => {
                let mut names: Vec<String> = Vec::new();
                for target in several {
                    let Self::Named(one) = mode(target)? else { return Err(not_alone(target)) };
                    let target = one.first().unwrap_or(target);
                    if names.contains(target) {
                        return Err(repeated(target));
                    }
                    names.push(target.clone());
                }
                Ok(Self::Named(names))
            }
        }
    }

    fn of(target: &str) -> Result<Self, Problem> {
        match target {
            "" => Err(no_name()),
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            "bridge" | "default" => Ok(Self::DefaultBridge),
            _ => match target.split_once(':') {
                None => Ok(Self::Named(vec![target.to_owned()])),
                Some(("container", "")) => Err(no_name()),
                Some(("container", container)) => Ok(Self::Container(container.to_owned())),
                Some(_) => Err(not_docker(target)),
            },
        }
    }

    fn of_podmans(target: &str) -> Result<Self, Problem> {
        let (mode, options) =
            target.split_once(':').map_or((target, None), |(mode, rest)| (mode, Some(rest)));
        match (mode, options) {
            ("", _) | ("container", None | Some("")) => Err(no_name()),
            ("host", None) => Ok(Self::Host),
            ("none", None) => Ok(Self::None),
            ("bridge" | "default" | "private", _) => Ok(Self::DefaultBridge),
            ("slirp4netns" | "pasta" | "ns", _) => Ok(Self::Alone(target.to_owned())),
            ("container", Some(container)) => Ok(Self::Container(container.to_owned())),
            (name, _) => Ok(Self::Named(vec![name.to_owned()])),
        }
    }

    /// Why sidecars cannot be reached from this network, and the way out; none where they can.
    #[must_use]
    pub fn refusal(&self) -> Option<Problem> {
        let message = match self {
            Self::Unset | Self::Named(_) | Self::Host => return None,
            Self::None => "the harness runs with `--network none`, so it cannot reach any sidecar".to_owned(),
            Self::Container(container) => format!(
                "the harness shares the network of container `{container}`, whose networks farrier does not change"
            ),
            Self::DefaultBridge => {
                "the harness asks for the engine's default network, where the names of sidecars do not resolve"
                    .to_owned()
            }
            Self::Alone(mode) => {
                format!("the harness asks for `--network {mode}`, a network without any other container")
            }
            Self::Pod(pod) => {
                let message =
                    format!("the harness runs in the pod `{pod}`, whose network farrier does not change");
                return Some(Problem::error(Code::NetworkUnusable, message).hint(
                    "Leave the pod out: farrier then adds a network of its own to the harness.",
                ));
            }
        };
        Some(
            Problem::error(Code::NetworkUnusable, message)
                .hint("Leave `--network` out: farrier then adds a network of its own to the harness.")
                .hint("Or create a network once (`docker network create NAME`), and give the harness `--network NAME`."),
        )
    }
}

/// The network that one value names.
fn target(value: &OsStr) -> Result<String, Problem> {
    let text = as_text(value)?;
    if !is_long_syntax(text) {
        return Ok(text.to_owned());
    }
    let fields = fields(text);
    // Docker lets the last one win.
    let name = fields.iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.trim().eq_ignore_ascii_case("name").then(|| value.trim().to_owned())
    });
    name.ok_or_else(no_name)
}

fn as_text(value: &OsStr) -> Result<&str, Problem> {
    value.to_str().ok_or_else(|| {
        let message = format!("`--network {}` of the harness is not text", value.display());
        Problem::error(Code::HarnessShape, message)
            .hint("Name the network in ASCII letters, digits, `_`, `.` and `-`.")
    })
}

/// The aliases that one value of `--network` gives the container.
pub(super) fn aliases(client: Client, value: &str) -> Vec<String> {
    if client != Client::Docker {
        let options = value.split_once(':').map_or("", |(_, options)| options);
        let aliases = options.split(',').filter_map(|option| option.strip_prefix("alias="));
        return aliases.map(str::to_owned).collect();
    }
    if !is_long_syntax(value) {
        return Vec::new();
    }
    let fields = fields(value).into_iter();
    let alias = |field: String| {
        let (key, value) = field.split_once('=')?;
        key.trim().eq_ignore_ascii_case("alias").then(|| value.trim().to_owned())
    };
    fields.filter_map(alias).collect()
}

/// Docker's own test for the form with keys: an equals sign between two word characters, anywhere.
fn is_long_syntax(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.as_bytes()
        .windows(3)
        .any(|window| matches!(window, [before, b'=', after] if is_word(*before) && is_word(*after)))
}

/// The fields of one line of comma-separated values, where a field may stand in double quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(character),
        }
    }
    fields.push(field);
    fields
}

fn no_name() -> Problem {
    Problem::error(Code::HarnessShape, "a `--network` of the harness names no network")
        .hint("Write `--network NAME` or `--network name=NAME,alias=ALIAS`, or leave it out.")
}

fn not_alone(target: &str) -> Problem {
    let message = format!(
        "the harness combines `--network {target}` with another network, which the client does not accept"
    );
    Problem::error(Code::HarnessShape, message)
        .hint(format!("Name `{target}` alone, or only networks created with `docker network create`."))
}

fn repeated(target: &str) -> Problem {
    Problem::error(Code::HarnessShape, format!("the harness names the network `{target}` twice"))
        .hint("Name it once; `--network name=NAME,alias=A,alias=B` takes several aliases.")
}

fn not_docker(target: &str) -> Problem {
    Problem::error(Code::HarnessShape, format!("Docker has no network mode `{target}`"))
        .hint("Leave `--network` out, or name a network created with `docker network create`.")
}
