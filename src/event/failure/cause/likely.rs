//! Which cause the evidence supports. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Cause, answer, shell};
use crate::engine::{Meaning, meaning_of_log};
use crate::plan::instance::{Instance, Status};
use crate::probe::observed::Observed;
use crate::report::error::Code;

/// What is known when a wait has failed.
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
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
    /// The answer of its probes that says most: the newest, or the one that names what is wrong.
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
    /// Whether it may run on another node than the one that probes dial from, and has answered no dial, though probes dialled it.
    pub may_be_apart: bool,
}

/// The cause that the evidence supports; `None` if it supports none.
#[must_use]
pub fn likely(evidence: &Evidence<'_>) -> Option<Cause> {
    match evidence.code {
        Code::SidecarExited | Code::JobFailed => exited(evidence),
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
pub fn is_telling(answer: &str) -> bool {
    answer::cause(answer).is_some()
}

fn exited(evidence: &Evidence<'_>) -> Option<Cause> {
    let Some(container) = evidence.container else {
        return evidence.is_told.then_some(Cause::StoppedByOthers);
    };
    if container.is_lost {
        return Some(Cause::HostLost);
    }
    if container.oom_killed {
        return Some(Cause::KilledForMemory { limit: container.memory });
    }
    match evidence.log.last().and_then(|line| meaning_of_log(line)) {
        Some(Meaning::WrongArchitecture) => return Some(Cause::WrongArchitecture),
        Some(Meaning::ProgramMissing) => return Some(Cause::ProgramMissing),
        _ => {}
    }
    match (container.status, container.exit_code) {
        (Status::Starting | Status::Running | Status::Restarting, _) => None,
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
    if evidence.may_be_apart {
        return Some(Cause::NodesApart);
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
