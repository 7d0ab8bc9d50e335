//! The most likely cause of a failure, from the evidence alone: nothing here asks or waits.

use std::time::Duration;

use crate::report::elapsed::limit;

mod answer;
mod likely;
mod shell;

pub use likely::{Evidence, is_telling, likely};

/// What to do if nothing listens, or where something does could not be told.
pub(super) const NOTHING_LISTENS: &str = "Nothing is listening there: the server must listen on 0.0.0.0, not on 127.0.0.1 \
                                          alone, and on the port under [interface].";

/// What to do if packets do not find the way to a sidecar of a Swarm. The ports are those of Docker's documentation of swarm mode.
pub const LET_NODES_MEET: &str = "If it runs on another node, let the Swarm's nodes reach each other at TCP and UDP port 7946 and \
                                  UDP port 4789.";

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
    /// It was killed because it ran out of memory.
    KilledForMemory {
        /// The limit in bytes; 0 is none.
        limit: u64,
    },
    /// The program is not in the image, or cannot be executed.
    ProgramMissing,
    /// The program was built for another architecture, or is not a program.
    WrongArchitecture,
    /// Somebody removed, stopped or paused it.
    StoppedByOthers,
    /// The host that it ran on does not answer any more.
    HostLost,
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
    /// It listens for IPv6 only, but its address is an IPv4 address.
    ListensOnIpv6 {
        /// The port that was dialled.
        port: u16,
    },
    /// It neither accepts nor refuses connections, and may run on another node.
    NodesApart,
    /// The port is open, and what answers there speaks another protocol than the probe.
    ProtocolFails,
    /// The port uses TLS, and the probe does not.
    SpeaksTls,
    /// The probe uses TLS, and the port does not.
    LacksTls,
    /// The server's certificate is not one that the probe's grant trusts.
    CertificateRefused,
    /// The server rejects the login in the probe's settings.
    LoginRefused,
    /// The server requires a login, and the probe's settings have none.
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
    /// The probe's command is not in the image.
    CommandMissing,
    /// The probe's command is written for a shell, but runs without one.
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
            Self::HostLost => "host-lost",
            Self::ListensOnLoopback { .. } => "listens-on-loopback",
            Self::ListensElsewhere { .. } => "listens-elsewhere",
            Self::ListensNowhere { .. } => "listens-nowhere",
            Self::ListensOnIpv6 { .. } => "listens-on-ipv6",
            Self::NodesApart => "nodes-apart",
            Self::ProtocolFails => "protocol-fails",
            Self::SpeaksTls => "speaks-tls",
            Self::LacksTls => "lacks-tls",
            Self::CertificateRefused => "certificate-refused",
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
                "its program exited successfully, but a sidecar must keep running".to_owned()
            }
            Self::Exited { code } => format!("its program ended with exit code {code}"),
            Self::KilledForMemory { limit: 0 } => "the host ran out of memory".to_owned(),
            Self::KilledForMemory { limit } => {
                format!("it needs more memory than its limit of {} MiB", limit >> 20)
            }
            Self::ProgramMissing => "its program is not in the image, or is not executable".to_owned(),
            Self::WrongArchitecture => {
                "its program was built for another architecture, or is not a program".to_owned()
            }
            Self::StoppedByOthers => "somebody else stopped, paused or removed its container".to_owned(),
            Self::HostLost => "the machine that it ran on does not answer any more".to_owned(),
            Self::ListensOnLoopback { port } => {
                format!(
                    "it listens on port {port} of 127.0.0.1 only, which nothing outside its container can reach"
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
                format!("nothing in its container is listening on port {port} or on any other port")
            }
            Self::ListensOnIpv6 { port } => {
                format!(
                    "it listens on port {port} for IPv6 only, but its address on the network is an IPv4 address"
                )
            }
            Self::NodesApart => {
                "packets from the manager's node do not reach it: its port neither accepts nor refuses"
                    .to_owned()
            }
            Self::ProtocolFails => {
                "its port is open, but the server there does not use the probe's protocol".to_owned()
            }
            Self::SpeaksTls => "its port uses TLS, and the probe does not".to_owned(),
            Self::LacksTls => "the probe uses TLS, and its port does not".to_owned(),
            Self::CertificateRefused => "its certificate is not one that the probe trusts".to_owned(),
            Self::LoginRefused => "it rejects the login in the probe's settings".to_owned(),
            Self::LoginMissing => "it requires a login, and the probe's settings have none".to_owned(),
            Self::DatabaseMissing => {
                "the database or virtual host that the probe's settings name does not exist".to_owned()
            }
            Self::QueryFails => "the query in the probe's settings fails".to_owned(),
            Self::Unauthorized => "it requires credentials that the probe does not send".to_owned(),
            Self::SlowAnswer { limit: poll } => {
                format!("it does not answer within {}, the `limits.poll` of the probe", limit(*poll))
            }
            Self::NoHealthTest => "its image has no HEALTHCHECK, which the probe needs".to_owned(),
            Self::HealthTestFails { code, output } => {
                let said = output.trim();
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                format!("its own health test fails with exit code {code}{said}")
            }
            Self::CommandMissing => "the probe's command is not in the image".to_owned(),
            Self::ShellMissing { .. } => {
                "the probe's command is written for a shell, but runs without one".to_owned()
            }
            Self::TimeoutBelowStartPeriod { start_period } => {
                format!(
                    "its image's start period is {}, which is longer than `timeout`",
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
            Self::ListensOnLoopback { .. } => "Make the server listen on 0.0.0.0, not only on 127.0.0.1.",
            Self::ListensOnIpv6 { .. } => "Make the server also listen on 0.0.0.0, not only on `::`.",
            Self::ListensElsewhere { .. } => {
                "Write the server's port under [interface], or make the server listen on the declared port."
            }
            Self::ListensNowhere { .. } => NOTHING_LISTENS,
            Self::NodesApart => LET_NODES_MEET,
            Self::ProtocolFails => {
                "Check that [readiness] names the probe for this kind of server, and its port."
            }
            Self::SpeaksTls => {
                "Ask for TLS in the probe's settings (`scheme = \"https\"` for `http`, else `tls = true`), or point the probe \
                 at a port without TLS (`settings.port`, granted by `grants.dial`)."
            }
            Self::LacksTls => {
                "Remove TLS from the probe's settings, or point the probe at the port for TLS (`settings.port`, granted by \
                 `grants.dial`)."
            }
            Self::CertificateRefused => {
                "Trust its authority with `grants = { tls = { ca = \"ca.pem\" } }` under [readiness], or give the server a \
                 certificate that is valid for its name."
            }
            Self::LoginRefused => {
                "Check the user and password under `settings`; data that was created with another password keeps that \
                 password."
            }
            Self::LoginMissing => "Add the password under `settings` of [readiness].",
            Self::DatabaseMissing => {
                "Check its name under `settings`, or make the sidecar create it when it starts."
            }
            Self::QueryFails => {
                "Check `settings.query`; a long one may need a higher `limits.poll` under [readiness]."
            }
            Self::Unauthorized => {
                "Point the probe at an address that needs no credentials, or add credentials under `settings`."
            }
            Self::SlowAnswer { .. } => {
                "Check that [readiness] names the probe for this kind of server: another kind may wait in silence. If such a \
                 delay is normal, raise `limits.poll` under [readiness]."
            }
            Self::ProbeTime => {
                "The probe is slow, not the sidecar: speed it up, or raise `limits.poll` under [readiness]."
            }
            Self::NotGranted { what } => return what.split_once(GRANT_IT).map(|(_, step)| sentence(step)),
            Self::ShellMissing { instead } => return Some(format!("Run it in a shell: `{instead}`.")),
            _ => return None,
        };
        Some(step.to_owned())
    }
}
