//! Scenarios of `farrier probe test`: what a sidecar answers, poll by poll, and what the probe has to make of it.
//!
//! A scenario is a TOML file. It is read as strictly as a definition, but every unknown key is an error: a scenario that does
//! not mean what it says would pass for no reason. Its strings are taken literally, without variables.

mod bytes;
mod decode;
mod dial;
mod poll;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use self::bytes::{Pattern, as_text};
pub use self::dial::tls_word;
pub use self::poll::{expected_word, health_word};
pub use self::reading::{MOST_BYTES, parse, read, read_found};
use super::grants::DialGrant;
use super::model::Readiness;
use crate::report::error::{Place, Source};

/// The most polls of one scenario, repeated ones included. A wait of an hour with a poll each second has 3,600.
pub const MOST_POLLS: u64 = 10_000;
/// The date at which a scenario begins if it names none, as the time since 1970: the first moment of 2026.
pub const DATE: Duration = Duration::from_secs(1_767_225_600);

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it shows, for people.
    pub description: Option<String>,
    /// The sidecar's name, by which the probe dials it.
    pub sidecar: String,
    /// The declared port.
    pub port: Option<u16>,
    /// The variables of the definition, of which the grants name some.
    pub env: BTreeMap<String, String>,
    /// From what the probe's random numbers are made.
    pub seed: u64,
    /// The date at which the wait begins, as the time since 1970.
    pub date: Duration,
    /// What a definition's `readiness` says. Which probe it is, the command line says.
    pub readiness: Readiness,
    /// What happens, in its order.
    pub polls: Vec<Poll>,
}

/// One poll, or several that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// When it begins, since the beginning of the wait; as a launch would schedule it if `None`.
    pub at: Option<Duration>,
    /// How many such polls there are.
    pub times: u32,
    /// How far apart these begin; as a launch would schedule them if `None`.
    pub every: Option<Duration>,
    /// The engine's health status from this poll on.
    pub health: Option<Health>,
    /// How a run of the image's health test ends.
    pub health_test: Option<HealthTest>,
    /// What the container has written since the poll before.
    pub log: Vec<String>,
    /// What each dial meets, in the order of the dials to one place.
    pub dials: Vec<Dial>,
    /// How each command ends, in the order of the runs of one command.
    pub commands: Vec<Command>,
    /// What the probe has to answer.
    pub expected: Expected,
    /// How long it has to wait for that.
    pub took: Option<Duration>,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            at: None,
            times: 1,
            every: None,
            health: None,
            health_test: None,
            log: Vec::new(),
            dials: Vec::new(),
            commands: Vec::new(),
            expected: Expected::Ready,
            took: None,
        }
    }
}

/// The engine's word on a container's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The container has no health test.
    None,
    /// No result counts yet.
    Starting,
    /// The last run passed.
    Healthy,
    /// The last runs failed.
    Unhealthy,
}

/// How a run of the health test ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTest {
    /// Its exit code.
    pub exit_code: u8,
    /// What it prints.
    pub output: Vec<u8>,
    /// How long it takes.
    pub takes: Duration,
}

/// One dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Where to.
    pub to: DialGrant,
    /// How long it takes until it is made or refused.
    pub takes: Duration,
    /// How it ends.
    pub outcome: Outcome,
}

/// How a dial ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a connection, over which this happens.
    Connected(Vec<Step>),
    /// Nothing listens.
    Refused,
    /// Nobody answers.
    TimedOut,
    /// The sidecar has no address.
    Unresolved,
    /// In another way, in words.
    Fails(String),
}

/// What happens over a connection. After the last step, the sidecar closes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The probe has to send this.
    Expects(Pattern),
    /// The sidecar sends this, for one read.
    Sends(Vec<u8>),
    /// The sidecar is silent for so long.
    Waits(Duration),
    /// The sidecar is silent from now on, and keeps the connection open.
    Stalls,
    /// The sidecar resets the connection.
    Breaks,
    /// The probe begins TLS, and the handshake succeeds.
    ShakesHands {
        /// For which name it has to ask.
        server_name: Option<String>,
        /// Which protocols it has to offer.
        protocols: Option<Vec<String>>,
        /// Which of them the server chooses.
        protocol: Option<String>,
    },
    /// The probe begins TLS, and the handshake fails.
    FailsTls(TlsFailure, String),
}

/// How a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The port does not speak TLS.
    NotTls,
    /// Nobody trusted vouches for the certificate.
    Untrusted,
    /// The certificate is not valid now.
    Expired,
    /// The certificate is for other names.
    WrongName,
    /// During the handshake, for another reason.
    Handshake,
    /// The connection was closed.
    Closed,
    /// The connection failed in another way.
    Other,
}

/// One run of a command in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its arguments, the program first.
    pub argv: Vec<String>,
    /// How long it takes.
    pub takes: Duration,
    /// How it ends.
    pub end: CommandEnd,
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// With an exit code.
    Exits {
        /// The code.
        exit_code: u8,
        /// Its standard output.
        stdout: Vec<u8>,
        /// Its standard error.
        stderr: Vec<u8>,
    },
    /// The engine cannot run it, for this reason.
    CannotRun(String),
}

/// What a probe has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Ready.
    Ready,
    /// Not yet, and what it asks for.
    Pending {
        /// Its reason; any if `None`.
        reason: Option<String>,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
        /// The time that it asks for.
        extend: Option<Duration>,
    },
    /// Never, for this reason, or any if `None`.
    Failed(Option<String>),
    /// Nothing, because it crashes so.
    Crashed(Option<String>),
    /// Nothing within the limit of a poll.
    TimedOut,
}

/// A scenario with the places of its polls.
#[derive(Clone, Debug)]
pub struct Written {
    /// What it says.
    pub scenario: Scenario,
    /// Its file.
    pub source: Arc<Source>,
    /// Where each poll stands.
    spans: Vec<Range<usize>>,
}

impl Written {
    /// The file as a whole.
    #[must_use]
    pub fn file(&self) -> Place {
        Place::file(&self.source.path)
    }

    /// Where a poll stands, counted from 0; the file if there is none.
    #[must_use]
    pub fn place(&self, poll: usize) -> Place {
        let span = self.spans.get(poll).cloned();
        span.map_or_else(|| self.file(), |span| Place { source: Arc::clone(&self.source), span })
    }
}
