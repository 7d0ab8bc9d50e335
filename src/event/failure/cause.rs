//! The most likely cause of a failure, from the evidence alone: nothing here asks or waits.

use std::time::Duration;

use crate::report::elapsed::limit;

mod answer;
mod likely;
mod shell;

pub use likely::{Evidence, is_telling, likely};

/// What to do if nothing listens, or where something does could not be told.
pub(super) const NOTHING_LISTENS: &str = "Nothing listens there: the server must listen on 0.0.0.0, not on 127.0.0.1 \
                                          alone, and on the port under [interface].";

/// Ports that are named at once.
const MOST_PORTS: usize = 10;

/// What is probably wrong, where the evidence supports one sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended, by itself.
    Exited {
        /// Its exit code.
        code: i64,
    },
    /// It was killed for memory.
    KilledForMemory {
        /// The limit in bytes; 0 is none.
        limit: u64,
    },
    /// The program is not in the image, or cannot be executed.
    ProgramMissing,
    /// The program is made for another machine, or is no program.
    WrongArchitecture,
    /// Somebody removed, stopped or paused it.
    StoppedByOthers,
    /// It listens where only it can connect.
    ListensOnLoopback {
        /// The declared port.
        port: u16,
    },
    /// It listens, but elsewhere.
    ListensElsewhere {
        /// The declared port.
        port: u16,
        /// Where it listens.
        ports: Vec<u16>,
    },
    /// It does not listen at all.
    ListensNowhere {
        /// The declared port.
        port: u16,
    },
    /// It listens for IPv6 only, and its address is one of IPv4.
    ListensOnIpv6 {
        /// The port that was dialled.
        port: u16,
    },
    /// The port is open, and what answers there speaks another protocol than the probe.
    ProtocolFails,
    /// The port speaks TLS, and the probe does not.
    SpeaksTls,
    /// The server refuses the login that the probe's settings have.
    LoginRefused,
    /// The server wants a login, and the probe's settings have none.
    LoginMissing,
    /// The database that the probe's settings name is not there.
    DatabaseMissing,
    /// The query of the probe's settings fails, or does not end.
    QueryFails,
    /// The server answers that credentials are missing or wrong.
    Unauthorized,
    /// The server takes longer to answer than one poll may.
    SlowAnswer {
        /// `limits.poll`.
        limit: Duration,
    },
    /// The probe asks for the image's health test, and there is none.
    NoHealthTest,
    /// The health test itself says no.
    HealthTestFails {
        /// Its exit code.
        code: i64,
        /// What it printed.
        output: String,
    },
    /// The command that decides is not in the image.
    CommandMissing,
    /// The command that decides is written for a shell, and none reads it.
    ShellMissing {
        /// The command as the definition needs it.
        instead: String,
    },
    /// The wait was shorter than what the image itself takes for a start.
    TimeoutBelowStartPeriod {
        /// The image's own.
        start_period: Duration,
    },
    /// The probe asked for what it was not granted.
    NotGranted {
        /// What it asked for.
        what: String,
    },
    /// The probe broke.
    ProbeBroken,
    /// The probe used up its memory.
    ProbeMemory,
    /// The probe used up its time, in each poll.
    ProbeTime,
    /// The server refuses what the probe's settings say, and its data is older than those values in its environment.
    OlderData {
        /// The fields that have changed since.
        fields: Vec<String>,
    },
}

/// What stands between what was denied and the line that grants it.
const GRANT_IT: &str = " is not granted: ";

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl Cause {
    /// The stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::KilledForMemory { .. } => "killed-for-memory",
            Self::ProgramMissing => "program-missing",
            Self::WrongArchitecture => "wrong-architecture",
            Self::StoppedByOthers => "stopped-by-others",
            Self::ListensOnLoopback { .. } => "listens-on-loopback",
            Self::ListensElsewhere { .. } => "listens-elsewhere",
            Self::ListensNowhere { .. } => "listens-nowhere",
            Self::ListensOnIpv6 { .. } => "listens-on-ipv6",
            Self::ProtocolFails => "protocol-fails",
            Self::SpeaksTls => "speaks-tls",
            Self::LoginRefused => "login-refused",
            Self::LoginMissing => "login-missing",
            Self::DatabaseMissing => "database-missing",
            Self::QueryFails => "query-fails",
            Self::Unauthorized => "unauthorized",
            Self::SlowAnswer { .. } => "slow-answer",
            Self::NoHealthTest => "no-health-test",
            Self::HealthTestFails { .. } => "health-test-fails",
            Self::CommandMissing => "command-missing",
            Self::ShellMissing { .. } => "shell-missing",
            Self::TimeoutBelowStartPeriod { .. } => "timeout-below-start-period",
            Self::NotGranted { .. } => "not-granted",
            Self::ProbeBroken => "probe-broken",
            Self::ProbeMemory => "probe-memory",
            Self::ProbeTime => "probe-time",
            Self::OlderData { .. } => "older-data",
        }
    }

    /// In one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Exited { code: 0 } => {
                "its program ended by itself, with success: a sidecar must keep running".to_owned()
            }
            Self::Exited { code } => format!("its program ended with exit code {code}"),
            Self::KilledForMemory { limit: 0 } => "the host ran out of memory".to_owned(),
            Self::KilledForMemory { limit } => {
                format!("it needs more memory than its limit of {} MiB", limit >> 20)
            }
            Self::ProgramMissing => "its program is not in the image, or may not be executed".to_owned(),
            Self::WrongArchitecture => "its program is made for another machine, or is no program".to_owned(),
            Self::StoppedByOthers => "somebody else stopped, paused or removed its container".to_owned(),
            Self::ListensOnLoopback { port } => {
                format!(
                    "it listens on port {port} of 127.0.0.1 only, where nothing outside its container gets"
                )
            }
            Self::ListensElsewhere { port, ports } => {
                let shown: Vec<String> = ports.iter().take(MOST_PORTS).map(u16::to_string).collect();
                let more = match ports.len().saturating_sub(MOST_PORTS) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("it does not listen on port {port}, but on {}{more}", shown.join(", "))
            }
            Self::ListensNowhere { port } => {
                format!("nothing in its container listens on port {port}, nor on any other")
            }
            Self::ListensOnIpv6 { port } => {
                format!(
                    "it listens on port {port} for IPv6 only, and its address on the network is one of IPv4"
                )
            }
            Self::ProtocolFails => {
                "its port is open, but what answers there does not speak the probe's protocol".to_owned()
            }
            Self::SpeaksTls => "its port speaks TLS, and the probe does not".to_owned(),
            Self::LoginRefused => "it refuses the login that the probe's settings have".to_owned(),
            Self::LoginMissing => "it wants a login, and the probe's settings have none".to_owned(),
            Self::DatabaseMissing => "the database that the probe's settings name does not exist".to_owned(),
            Self::QueryFails => "the query of the probe's settings fails".to_owned(),
            Self::Unauthorized => "it wants credentials that the probe does not send".to_owned(),
            Self::SlowAnswer { limit: poll } => {
                format!("it does not answer within {}, the `limits.poll` of the probe", limit(*poll))
            }
            Self::NoHealthTest => "its image has no HEALTHCHECK, which the probe goes by".to_owned(),
            Self::HealthTestFails { code, output } => {
                let said = output.trim();
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                format!("its own health test fails with exit code {code}{said}")
            }
            Self::CommandMissing => "the command that decides is not in the image".to_owned(),
            Self::ShellMissing { .. } => {
                "the command that decides is written for a shell, and no shell reads it".to_owned()
            }
            Self::TimeoutBelowStartPeriod { start_period } => {
                format!(
                    "its image gives itself {} to start, which is longer than `timeout`",
                    limit(*start_period)
                )
            }
            Self::NotGranted { what } => {
                let asked = what.split_once(GRANT_IT).map(|(asked, _)| format!("{asked} is not granted"));
                format!("a grant is missing: {}", asked.as_ref().unwrap_or(what))
            }
            Self::ProbeBroken => "the probe itself is broken".to_owned(),
            Self::ProbeMemory => "the probe needs more memory than `limits.memory`".to_owned(),
            Self::OlderData { fields } => format!(
                "its data was carried over from before {} changed, and servers read such values only when they first \
                 create their data",
                fields.join(", ")
            ),
            Self::ProbeTime => "one poll of the probe takes longer than `limits.poll`".to_owned(),
        }
    }

    /// What to do about it, if there is something that does not go without saying.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::ListensOnLoopback { .. } => "Let it listen on 0.0.0.0, not on 127.0.0.1 alone.",
            Self::ListensOnIpv6 { .. } => "Let it listen on 0.0.0.0 too, not on `::` alone.",
            Self::ListensElsewhere { .. } => {
                "Write the port that it listens on under [interface], or let it listen on that one."
            }
            Self::ListensNowhere { .. } => NOTHING_LISTENS,
            Self::ProtocolFails => {
                "Check that [readiness] names the probe for this kind of server, and its port."
            }
            Self::SpeaksTls => {
                "Let the probe ask at a port without TLS (`settings.port`, granted by `grants.dial`), or decide by the probe `exec`."
            }
            Self::LoginRefused => {
                "Check the user and password under `settings`; data that was made with another password keeps it."
            }
            Self::LoginMissing => "Add the password under `settings` of [readiness].",
            Self::DatabaseMissing => {
                "Check `settings.database`, or let the sidecar make the database when it starts."
            }
            Self::QueryFails => {
                "Check `settings.query`; a long one may need a higher `limits.poll` under [readiness]."
            }
            Self::Unauthorized => {
                "Let the probe ask where no credentials are needed, or add them under `settings`."
            }
            Self::SlowAnswer { .. } => {
                "Check that [readiness] names the probe for this kind of server: another kind may wait in silence. If it is right \
                 to take that long, raise `limits.poll` under [readiness]."
            }
            Self::ProbeTime => {
                "It is the probe that takes long: one poll of it may take `limits.poll` under [readiness]."
            }
            Self::NotGranted { what } => return what.split_once(GRANT_IT).map(|(_, step)| sentence(step)),
            Self::ShellMissing { instead } => return Some(format!("Let a shell read it: `{instead}`.")),
            _ => return None,
        };
        Some(step.to_owned())
    }
}
