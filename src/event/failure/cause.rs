//! The most likely cause of a failure, from the evidence alone: nothing here asks or waits.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::{Meaning, meaning_of_log};
use crate::plan::instance::{Instance, Status};
use crate::probe::observed::Observed;
use crate::report::elapsed::limit;
use crate::report::error::Code;

mod answer;
mod shell;

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

/// What is known when a wait has failed.
pub struct Evidence<'a> {
    /// What ended it.
    pub code: Code,
    /// The container at the end; `None` if it is gone, or the engine did not tell.
    pub container: Option<&'a Instance>,
    /// Whether the engine told how the container is.
    pub is_told: bool,
    /// What the polls saw, by the last of each probe.
    pub observed: &'a [Observed],
    /// Whether no poll ended with an answer.
    pub never_answered: bool,
    /// The declared limit.
    pub timeout: Duration,
    /// The port of the sidecar itself that refused the last dial.
    pub refused_port: Option<u16>,
    /// The newest answer of its probes.
    pub answer: Option<&'a str>,
    /// The limit of one poll, if the newest polls waited for an answer until it.
    pub slow: Option<Duration>,
    /// The command that decides.
    pub command: Option<&'a [String]>,
    /// Its newest log lines.
    pub log: &'a [String],
    /// Where its processes listen, where that is known.
    pub listeners: Option<&'a [SocketAddr]>,
    /// Whether the engine's health decides.
    pub by_health: bool,
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

/// The cause that the evidence supports; none where it supports none.
#[must_use]
pub fn likely(evidence: &Evidence<'_>) -> Option<Cause> {
    match evidence.code {
        Code::SidecarExited => exited(evidence),
        Code::SidecarUnhealthy => Some(health_test(evidence)?),
        Code::NotReady => not_ready(evidence),
        Code::ProbeFailed => said_failed(evidence),
        Code::ProbeCrashed | Code::ProbeInvalid => {
            let memory = evidence.observed.iter().any(|observed| observed.memory_exhausted);
            Some(if memory { Cause::ProbeMemory } else { Cause::ProbeBroken })
        }
        _ => None,
    }
}

/// Whether an answer alone tells what is wrong.
pub(super) fn is_telling(answer: &str) -> bool {
    answer::cause(answer).is_some()
}

fn exited(evidence: &Evidence<'_>) -> Option<Cause> {
    let Some(container) = evidence.container else {
        return evidence.is_told.then_some(Cause::StoppedByOthers);
    };
    if container.oom_killed {
        return Some(Cause::KilledForMemory { limit: container.memory });
    }
    match evidence.log.last().and_then(|line| meaning_of_log(line)) {
        Some(Meaning::WrongArchitecture) => return Some(Cause::WrongArchitecture),
        Some(Meaning::ProgramMissing) => return Some(Cause::ProgramMissing),
        _ => {}
    }
    match (container.status, container.exit_code) {
        (Status::Running | Status::Restarting, _) => None,
        (Status::Paused, _) => Some(Cause::StoppedByOthers),
        (_, 126 | 127) => Some(Cause::ProgramMissing),
        (_, code) => Some(Cause::Exited { code }),
    }
}

fn health_test(evidence: &Evidence<'_>) -> Option<Cause> {
    let (code, output) = evidence.container?.health.as_ref()?.runs.last()?;
    Some(Cause::HealthTestFails { code: *code, output: output.clone() })
}

fn said_failed(evidence: &Evidence<'_>) -> Option<Cause> {
    let observed = || evidence.observed.iter();
    if let Some(what) = observed().find_map(|observed| observed.not_granted.clone()) {
        return Some(Cause::NotGranted { what });
    }
    if observed().any(|observed| observed.no_health_test) {
        return Some(Cause::NoHealthTest);
    }
    if observed().any(|observed| observed.command_missing) {
        return Some(shell_missing(evidence).unwrap_or(Cause::CommandMissing));
    }
    answer::cause(evidence.answer?)
}

fn shell_missing(evidence: &Evidence<'_>) -> Option<Cause> {
    let command = evidence.command?;
    shell::is_missing(command).then(|| Cause::ShellMissing { instead: shell::with_one(command) })
}

fn not_ready(evidence: &Evidence<'_>) -> Option<Cause> {
    let observed = || evidence.observed.iter();
    if let Some(what) = observed().find_map(|observed| observed.not_granted.clone()) {
        return Some(Cause::NotGranted { what });
    }
    if evidence.never_answered {
        return Some(Cause::ProbeTime);
    }
    if let Some((code, output)) = observed().find_map(|observed| observed.health_test.clone()) {
        return start_period(evidence).or(Some(Cause::HealthTestFails { code, output }));
    }
    if let Some(cause) = evidence.refused_port.and_then(|port| listens(port, evidence.listeners?)) {
        return Some(cause);
    }
    let slow = || evidence.slow.map(|limit| Cause::SlowAnswer { limit });
    let answered = evidence.answer.and_then(answer::cause).or_else(slow);
    answered.or_else(|| shell_missing(evidence)).or_else(|| start_period(evidence))
}

fn start_period(evidence: &Evidence<'_>) -> Option<Cause> {
    let start_period = evidence.container?.health_command.as_ref()?.start_period;
    let short = evidence.by_health && start_period > evidence.timeout;
    short.then_some(Cause::TimeoutBelowStartPeriod { start_period })
}

fn listens(port: u16, listeners: &[SocketAddr]) -> Option<Cause> {
    let on_port = || listeners.iter().filter(|address| address.port() == port);
    if on_port().next().is_some() {
        let mut outside = on_port().map(|address| address.ip().to_canonical()).filter(|ip| !ip.is_loopback());
        return match outside.next() {
            None => Some(Cause::ListensOnLoopback { port }),
            // A listener for both kinds would have been reached.
            Some(first) if first.is_ipv6() && outside.all(|ip| ip.is_ipv6()) => {
                Some(Cause::ListensOnIpv6 { port })
            }
            Some(_) => None,
        };
    }
    let mut ports: Vec<u16> = listeners.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    Some(if ports.is_empty() {
        Cause::ListensNowhere { port }
    } else {
        Cause::ListensElsewhere { port, ports }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_listens_decides_what_a_refusal_means() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (listeners, expected) in [
            (vec![], Some(Cause::ListensNowhere { port: 80 })),
            (vec![at("127.0.0.1:80")], Some(Cause::ListensOnLoopback { port: 80 })),
            (vec![at("127.0.0.1:80"), at("[::1]:80")], Some(Cause::ListensOnLoopback { port: 80 })),
            (vec![at("127.0.0.1:80"), at("172.18.0.2:80")], None),
            (vec![at("[::]:80")], Some(Cause::ListensOnIpv6 { port: 80 })),
            (vec![at("127.0.0.1:80"), at("[::]:80")], Some(Cause::ListensOnIpv6 { port: 80 })),
            (vec![at("0.0.0.0:80"), at("[::]:80")], None),
            (
                vec![at("[::]:8080"), at("0.0.0.0:8080"), at("0.0.0.0:22")],
                Some(Cause::ListensElsewhere { port: 80, ports: vec![22, 8080] }),
            ),
        ] {
            assert_eq!(listens(80, &listeners), expected, "{listeners:?}");
        }
    }
}
