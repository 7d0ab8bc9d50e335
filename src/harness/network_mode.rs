//! What a harness's `--network` options mean for reaching sidecars.

use std::ffi::OsStr;

use crate::report::error::{Code, Problem};

/// The network that a container harness declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// None is named: farrier adds its own.
    Unset,
    /// Networks made with `docker network create`, by name or id, in order and never empty.
    Named(Vec<String>),
    /// `host`: the harness shares the engine host's addresses.
    Host,
    /// `none`: no network at all.
    None,
    /// `container:NAME`: another container's network, by its name or id.
    Container(String),
    /// `bridge` or `default`: Docker's default bridge, where no names resolve.
    DefaultBridge,
}

impl NetworkMode {
    /// Reads the values of all `--network` options, each plain or in the form `name=NETWORK,alias=ALIAS`.
    ///
    /// # Errors
    /// `harness-shape` for what docker rejects: an empty name, a value that is not text, a network that is
    /// named twice, `host`, `none`, `bridge` or `container:…` beside another one, and modes that only podman
    /// has.
    pub fn read<'a>(values: impl IntoIterator<Item = &'a OsStr>) -> Result<Self, Problem> {
        let targets = values.into_iter().map(target).collect::<Result<Vec<_>, _>>()?;
        match targets.as_slice() {
            [] => Ok(Self::Unset),
            [only] => Self::of(only),
            several => {
                let mut names: Vec<String> = Vec::new();
                for target in several {
                    if !matches!(Self::of(target)?, Self::Named(_)) {
                        return Err(not_alone(target));
                    }
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
                "the harness asks for Docker's default bridge, where the names of sidecars do not resolve"
                    .to_owned()
            }
        };
        Some(
            Problem::error(Code::NetworkUnusable, message)
                .hint("Leave `--network` out: farrier then adds a network of its own to the harness.")
                .hint("Or run `docker network create NAME` once, and give the harness `--network NAME`."),
        )
    }
}

/// The network that one value names.
fn target(value: &OsStr) -> Result<String, Problem> {
    let Some(text) = value.to_str() else {
        let message = format!("`--network {}` of the harness is not text", value.display());
        return Err(Problem::error(Code::HarnessShape, message)
            .hint("Name the network in ASCII letters, digits, `_`, `.` and `-`."));
    };
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

/// The aliases that one value of `--network` gives the container.
pub(super) fn aliases(value: &str) -> Vec<String> {
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
        "the harness combines `--network {target}` with another network, which docker does not accept"
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
