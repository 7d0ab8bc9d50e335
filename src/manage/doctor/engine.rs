//! The engine: where it is, whether it answers, its clock, and the way to its containers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Check;
use crate::engine::address::{self, Choice, EngineAddress};
use crate::engine::docker::DockerEngine;
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineError, EngineErrorKind, EngineInfo, EngineResult};
use crate::harness::reachability::OWN_NETWORK;
use crate::plan::sidecar::LABEL_NETWORK;
use crate::preparation::settings::Settings;
use crate::reach::relay;
use crate::reach::route;

/// How long an engine that is well takes for any of these questions, with room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clocks that differ by less do no harm.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Looks at it, and gives what it said of itself where it answers.
pub(super) async fn examine(settings: &Settings) -> (Option<EngineInfo>, Vec<Check>) {
    let address = match address::resolve(&Choice::default(), &settings.environment) {
        Ok(address) => address,
        Err(problem) => return (None, vec![Check::problem("engine", &problem)]),
    };
    let place = format!("{} ({})", address.host, address.origin);
    let before = Timestamp::now();
    let (engine, info) = match limited(connect(&address)).await {
        Ok(connected) => connected,
        Err(error) => {
            let problem = engine_problem(&format!("use the engine at {place}"), &error);
            return (None, vec![Check::problem("engine", &problem)]);
        }
    };
    let after = Timestamp::now();
    let found = format!("Docker {} on {} answers at {place}", info.version, info.architecture);
    let checks = vec![
        Check::well("engine", found),
        clock(&info, before, after),
        limited(network(&engine, &info))
            .await
            .unwrap_or_else(|error| Check::problem("route", &engine_problem("look for the network", &error))),
        relay_program(),
    ];
    (Some(info), checks)
}

async fn connect(address: &EngineAddress) -> EngineResult<(DockerEngine, EngineInfo)> {
    let engine = DockerEngine::open(address)?;
    let info = engine.info().await?;
    Ok((engine, info))
}

async fn limited<T>(work: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
    let late = || EngineError::new(EngineErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

/// The engine's answer was made at some moment between two of this host's clock.
fn clock(info: &EngineInfo, before: Timestamp, after: Timestamp) -> Check {
    let Some(engine) = info.moment() else {
        return Check::broken("clock", "the engine does not tell its time", "Update the engine.");
    };
    let behind = before.duration_since(engine);
    let ahead = engine.duration_since(after);
    let (difference, word) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    if difference <= CLOCK_TOLERANCE {
        return Check::well("clock", "the engine's clock agrees with this host's");
    }
    Check::broken(
        "clock",
        format!("the engine's clock is {} s {word} this host's", difference.as_secs()),
        "Let both keep their time by NTP (`timedatectl set-ntp true`); a virtual machine's may need a restart.",
    )
}

/// How probes would reach containers on farrier's own network.
async fn network(engine: &DockerEngine, info: &EngineInfo) -> EngineResult<Check> {
    let found = engine.networks(OWN_NETWORK).await?;
    Ok(match found.as_slice() {
        _ if !info.local => {
            Check::well("route", "through a relay container, because the engine is not on this host")
        }
        [] => Check::well("route", "decided when the first launch makes the network `farrier`"),
        networks if networks.iter().any(|network| !network.labels.contains_key(LABEL_NETWORK)) => {
            Check::broken(
                "route",
                "the network `farrier` was not made by farrier, so launches cannot use it",
                "Remove it with `docker network rm farrier`; the next launch makes its own.",
            )
        }
        [network, ..] if route::has_bridge(&network.id) => {
            Check::well("route", "direct: this host is on the network `farrier`")
        }
        _ => Check::well(
            "route",
            "through a relay container, because this host is not on the network `farrier`",
        ),
    })
}

fn relay_program() -> Check {
    let finding = if relay::is_built_in() {
        "farrier's own program relays, in any image of this architecture"
    } else {
        "python3, nc or bash of an image relays, because farrier was built without a static C library"
    };
    Check::well("relay", finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).expect("a moment");
        for (engine, well, word) in
            [(0, true, "agrees"), (-2, true, "agrees"), (-3, false, "3 s behind"), (4, false, "3 s ahead")]
        {
            let time = format!("{}.000000000", 1_000_000 + engine);
            let info = EngineInfo {
                id: String::new(),
                time,
                version: String::new(),
                architecture: String::new(),
                local: true,
            };
            let check = clock(&info, at(0), at(1));
            assert_eq!(check.is_well(), well, "{check:?}");
            assert!(check.finding.contains(word), "{check:?}");
        }
    }
}
