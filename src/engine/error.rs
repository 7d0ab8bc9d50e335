//! How an engine fails.

/// Why an engine call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// Nothing answers at the address, or the connection broke.
    Unreachable,
    /// The socket may not be opened by this user.
    PermissionDenied,
    /// The object does not exist.
    NotFound,
    /// The name is taken, or the object is in another state.
    Conflict,
    /// The engine answered that it cannot do it.
    Refused,
    /// No answer in time.
    TimedOut,
}

impl EngineErrorKind {
    /// Whether the way to the engine failed, which says nothing about what was asked: it may do later.
    #[must_use]
    pub const fn is_of_the_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::PermissionDenied | Self::TimedOut)
    }
}

/// What an engine's refusal is about, as far as the engine's own words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The registry wants another login, or does not let this one have the image.
    Denied,
    /// The registry has no such image.
    NotFound,
    /// The engine's disk is full.
    DiskFull,
    /// The engine has no range of addresses left for another network.
    NoAddressRange,
    /// The network has no address left for another instance.
    NoAddress,
    /// Somebody else has a port of the host at which the container is published.
    PortTaken,
    /// The program does not exist, or is not executable.
    ProgramMissing,
    /// The program was built for another architecture, or is not a program.
    WrongArchitecture,
}

/// A failed engine call: the kind to decide on, the text to show.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What callers decide on.
    pub kind: EngineErrorKind,
    /// The engine's own words.
    pub message: String,
    /// What they are about, if that is known.
    pub meaning: Option<Meaning>,
    /// What to do about it on this engine.
    pub hints: Vec<&'static str>,
}

impl EngineError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), meaning: None, hints: Vec::new() }
    }
}

/// What every call returns.
pub type EngineResult<T> = Result<T, EngineError>;

/// What an instance's own log says if its program could not be executed: OCI runtimes write that there.
#[must_use]
pub fn meaning_of_log(line: &str) -> Option<Meaning> {
    let said = line
        .strip_prefix("exec ")
        .or_else(|| line.split_once("exec user process caused: ").map(|(_, said)| said))?;
    if said.ends_with("exec format error") {
        return Some(Meaning::WrongArchitecture);
    }
    let missing =
        ["no such file or directory", "permission denied"].iter().any(|words| said.ends_with(words));
    missing.then_some(Meaning::ProgramMissing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_programs_that_could_not_be_executed() {
        for (line, expected) in [
            ("exec /server: exec format error", Some(Meaning::WrongArchitecture)),
            (
                "standard_init_linux.go:228: exec user process caused: no such file or directory",
                Some(Meaning::ProgramMissing),
            ),
            ("cannot exec /server: no such file or directory", None),
        ] {
            assert_eq!(meaning_of_log(line), expected, "{line}");
        }
    }
}
