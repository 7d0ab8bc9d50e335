//! The engine: where it is, whether it answers, its clock, and the way to its containers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Check;
use crate::engine::kinds::{Choice, EngineKind, Folders, Opened};
use crate::engine::problem::engine_problem;
use crate::engine::{EngineError, EngineErrorKind, EngineInfo, EngineResult, Finding};
use crate::preparation::settings::Settings;

/// How long an engine that is well takes for any of these questions, with room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clocks that differ by less do no harm.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Looks at it, and gives what it said of itself where it answers.
pub(super) async fn examine(settings: &Settings) -> (Option<EngineInfo>, Vec<Check>) {
    let folders = Folders { cache: None, ..settings.folders() };
    let opened = settings.engine.of_images().open(&Choice::default(), &settings.environment, &folders);
    let Opened { engine, place, .. } = match opened {
        Ok(opened) => opened,
        Err(problem) => return (None, vec![Check::problem("engine", &problem)]),
    };
    let before = Timestamp::now();
    let info = match limited(engine.info()).await {
        Ok(info) => info,
        Err(error) => {
            let problem = engine_problem(&format!("use the engine at {place}"), &error);
            return (None, vec![Check::problem("engine", &problem)]);
        }
    };
    let after = Timestamp::now();
    let product = engine.product();
    let found = format!("{product} {} on {} answers at {place}", info.version, info.architecture);
    let mut checks = vec![Check::well("engine", found), clock(&info, before, after)];
    for (name, found) in engine.examine().await {
        checks.push(match found {
            Ok(Finding { text, way_out }) => {
                Check { name, finding: text, fixes: way_out.into_iter().map(str::to_owned).collect() }
            }
            Err(error) => Check::problem(name, &engine_problem("look for the network", &error)),
        });
    }
    (Some(info), checks)
}

/// What the engines are good for that need no more than this host, and are not the one that was looked at already.
pub(super) async fn examine_others(settings: &Settings) -> Vec<Check> {
    let folders = Folders { cache: None, ..settings.folders() };
    let mut checks = Vec::new();
    for kind in EngineKind::ALL
        .into_iter()
        .filter(|kind| *kind != settings.engine.of_images() && kind.capabilities().image_files)
    {
        let Ok(Opened { engine, .. }) = kind.open(&Choice::default(), &settings.environment, &folders) else {
            continue;
        };
        let found = engine.examine().await.into_iter();
        checks.extend(found.map(|(name, found)| match found {
            Ok(Finding { text, .. }) => Check::well(name, text),
            Err(error) => Check::well(name, error.to_string()),
        }));
    }
    checks
}

async fn limited<T>(work: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
    let late = || EngineError::new(EngineErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
}

/// The engine's answer was made at some moment between two of this host's clock.
fn clock(info: &EngineInfo, before: Timestamp, after: Timestamp) -> Check {
    let Some(engine) = info.moment() else {
        return Check::broken("clock", "the engine does not report its time", "Update the engine.");
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
        "Synchronise both clocks by NTP (`timedatectl set-ntp true`); a virtual machine may need a restart.",
    )
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
