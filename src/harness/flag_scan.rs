//! Reads options as docker's and podman's own parser does, up to the first word that is none.
//!
//! The rules are those of Go's `pflag` with options before operands only: `--name value`, `--name=value`,
//! `-n value`, `-nvalue`, `-n=value`, clusters of letters whose last may take a value, switches that take a
//! value only with `=`, and `--` as the end of the options. A lone `-` is an operand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::docker_flags::{self, Flag};
use super::podman_flags;
use crate::report::error::{Code, Problem};

/// A command whose options are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// `docker` itself, before its first word.
    Docker,
    /// `docker run`.
    Run,
    /// `docker create`.
    Create,
    /// `podman` itself, before its first word.
    Podman,
    /// `podman run`.
    PodmanRun,
    /// `podman create`.
    PodmanCreate,
}

impl Grammar {
    /// The command as the user writes it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Run => "docker run",
            Self::Create => "docker create",
            Self::Podman => "podman",
            Self::PodmanRun => "podman run",
            Self::PodmanCreate => "podman create",
        }
    }

    fn find(self, matches: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        self.table().iter().find(|flag| matches(flag) && !(flag.only_run && self.running().is_some()))
    }

    const fn table(self) -> &'static [Flag] {
        match self {
            Self::Docker => docker_flags::GLOBAL,
            Self::Run | Self::Create => docker_flags::CONTAINER,
            Self::Podman => podman_flags::GLOBAL,
            Self::PodmanRun | Self::PodmanCreate => podman_flags::CONTAINER,
        }
    }

    /// What `run` is to a `create`; `None` for any other grammar.
    const fn running(self) -> Option<Self> {
        match self {
            Self::Create => Some(Self::Run),
            Self::PodmanCreate => Some(Self::PodmanRun),
            Self::Docker | Self::Run | Self::Podman | Self::PodmanRun => None,
        }
    }
}

/// What an option was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A switch, on or off.
    Switch(bool),
    /// A value, byte for byte.
    Value(OsString),
}

/// The options in front of the first operand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Every option in order, by canonical long name.
    pub given: Vec<(&'static str, Given)>,
    /// The index of the first operand; the number of arguments where there is none.
    pub operand: usize,
}

impl Scanned {
    /// All values of an option, in order.
    pub fn values<'a>(&'a self, long: &str) -> impl DoubleEndedIterator<Item = &'a OsStr> {
        self.given.iter().filter_map(move |(name, given)| match given {
            Given::Value(value) if *name == long => Some(value.as_os_str()),
            _ => None,
        })
    }

    /// Whether a switch is on: the last occurrence decides, as for docker.
    #[must_use]
    pub fn is_on(&self, long: &str) -> bool {
        self.given
            .iter()
            .rev()
            .find(|(name, _)| *name == long)
            .is_some_and(|(_, given)| *given == Given::Switch(true))
    }

    /// Whether an option was given at all.
    #[must_use]
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }
}

/// Reads the options that start at `start`.
///
/// An unknown option with an attached `=value` is passed over: it is the same in every docker. One without
/// could take the next argument or not, so that nobody can say where the operands begin.
///
/// # Errors
/// `harness-shape` for an unknown option without `=`, an option without its value, a switch that is neither
/// true nor false, and a spelling that docker rejects.
pub fn scan(grammar: Grammar, arguments: &[OsString], start: usize) -> Result<Scanned, Problem> {
    let mut scan = Scan { grammar, arguments, next: start, given: Vec::new() };
    while let Some(argument) = arguments.get(scan.next) {
        match argument.as_bytes() {
            [b'-', b'-'] => {
                scan.next += 1;
                break;
            }
            [b'-', b'-', name @ ..] => {
                scan.next += 1;
                scan.long(name)?;
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                scan.next += 1;
                scan.cluster(letters)?;
            }
            _ => break,
        }
    }
    Ok(Scanned { given: scan.given, operand: scan.next.min(arguments.len()) })
}

struct Scan<'a> {
    grammar: Grammar,
    arguments: &'a [OsString],
    /// The index of the next unread argument.
    next: usize,
    given: Vec<(&'static str, Given)>,
}

impl Scan<'_> {
    fn long(&mut self, text: &[u8]) -> Result<(), Problem> {
        let (name, attached) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        let spelling = format!("--{}", String::from_utf8_lossy(name));
        if name.is_empty() || name.starts_with(b"-") {
            return Err(malformed(self.grammar, &spelling));
        }
        let flag = self.grammar.find(|flag| flag.long.as_bytes() == name);
        match (flag, attached) {
            (Some(flag), Some(attached)) => self.attached(flag, attached, &spelling),
            (Some(flag), None) if flag.takes_value => self.detached(flag, &spelling),
            (Some(flag), None) => {
                self.given.push((flag.canonical, Given::Switch(true)));
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (None, None) => Err(unknown(self.grammar, &spelling, |flag| flag.long.as_bytes() == name)),
        }
    }

    fn cluster(&mut self, letters: &[u8]) -> Result<(), Problem> {
        let mut rest = letters;
        while let [letter, tail @ ..] = rest {
            let flag = self.grammar.find(|flag| flag.short == Some(*letter));
            let spelling = match String::from_utf8_lossy(rest).chars().next() {
                Some(first) => format!("-{first}"),
                None => "-".to_owned(),
            };
            match (flag, tail) {
                // `-e=` is the value `=`, and only more than that is a value behind an equals sign.
                (flag, [b'=', attached @ ..]) if !attached.is_empty() => {
                    return flag.map_or(Ok(()), |flag| self.attached(flag, attached, &spelling));
                }
                (Some(flag), []) if flag.takes_value => return self.detached(flag, &spelling),
                (Some(flag), attached) if flag.takes_value => {
                    return self.attached(flag, attached, &spelling);
                }
                (Some(flag), _) => self.given.push((flag.canonical, Given::Switch(true))),
                (None, _) => {
                    return Err(unknown(self.grammar, &spelling, |flag| flag.short == Some(*letter)));
                }
            }
            rest = tail;
        }
        Ok(())
    }

    fn attached(&mut self, flag: &'static Flag, value: &[u8], spelling: &str) -> Result<(), Problem> {
        let given = if flag.takes_value {
            Given::Value(OsStr::from_bytes(value).to_owned())
        } else {
            let Some(on) = boolean(value) else {
                return Err(not_boolean(self.grammar, spelling));
            };
            Given::Switch(on)
        };
        self.given.push((flag.canonical, given));
        Ok(())
    }

    fn detached(&mut self, flag: &'static Flag, spelling: &str) -> Result<(), Problem> {
        let Some(value) = self.arguments.get(self.next) else {
            return Err(no_value(self.grammar, spelling));
        };
        self.next += 1;
        self.given.push((flag.canonical, Given::Value(value.clone())));
        Ok(())
    }
}

/// The spellings that Go's `strconv.ParseBool` accepts.
fn boolean(value: &[u8]) -> Option<bool> {
    match value {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

fn malformed(grammar: Grammar, spelling: &str) -> Problem {
    let message = format!("`{spelling}` is not an option of `{}`", grammar.command());
    Problem::error(Code::HarnessShape, message)
        .hint("Correct its spelling: options are `--name` or `--name=VALUE`.")
}

fn unknown(grammar: Grammar, spelling: &str, is_it: impl Fn(&Flag) -> bool) -> Problem {
    let command = grammar.command();
    let message = format!("`{command}` has no option `{spelling}` that farrier knows");
    let problem = Problem::error(Code::HarnessShape, message);
    if let Some(run) = grammar.running().filter(|run| run.find(is_it).is_some()) {
        return problem.hint(format!("Leave `{spelling}` out: only `{}` has it.", run.command()));
    }
    if let Some(nearest) = nearest(grammar, spelling) {
        return problem.hint(format!("Did you mean `--{nearest}`? Correct the harness command."));
    }
    problem.hint(format!(
        "If it is newer than this version of farrier, write `{spelling}=VALUE` (`{spelling}=true` for a switch): farrier \
         passes on such an option unchanged."
    ))
}

/// The known long name that a mistyped one most likely stands for.
fn nearest(grammar: Grammar, spelling: &str) -> Option<&'static str> {
    let name = spelling.strip_prefix("--")?;
    let length = name.chars().count();
    // Comparing takes time by both lengths, and the distance is at least their difference.
    let flags = grammar.table().iter().filter(|flag| length.abs_diff(flag.long.len()) <= 2);
    let candidates = flags.map(|flag| (strsim::osa_distance(flag.long, name), flag.long));
    let (distance, long) = candidates.min()?;
    (distance <= 2 && distance * 3 <= name.chars().count()).then_some(long)
}

fn no_value(grammar: Grammar, spelling: &str) -> Problem {
    let message = format!("`{}` ends after `{spelling}`, which needs a value", grammar.command());
    Problem::error(Code::HarnessShape, message)
        .hint(format!("Give `{spelling}` its value, and write the rest of the command after it."))
}

fn not_boolean(grammar: Grammar, spelling: &str) -> Problem {
    let message = format!(
        "`{spelling}` of `{}` is a switch, and its value is neither true nor false",
        grammar.command()
    );
    let hint = format!("Write `{spelling}` to turn it on or `{spelling}=false` to turn it off.");
    Problem::error(Code::HarnessShape, message).hint(hint)
}
