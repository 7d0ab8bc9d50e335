//! What a look at the container says about the wait for it. Nothing here waits or asks.

use std::time::Duration;

use super::watch::Watch;
use crate::engine::limited::within;
use crate::engine::{Engine, EngineResult};
use crate::plan::instance::{HealthStatus, Instance, Status};
use crate::plan::sidecar::Sidecar;
use crate::report::error::Code;

/// How long one look may take: the connection may be one that a restart of the engine left dead.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long the engine may take to say that the kernel killed a container for memory. The engine learns that by another way
/// than the end, on a busy machine seconds later; or never, if something else killed the container.
const CAUSE_OF_END: Duration = Duration::from_secs(10);
/// How often the engine is asked meanwhile, beside its events.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The exit code of a process that SIGKILL ended, which is how the kernel kills for memory.
const KILLED: i64 = 137;

/// Why a wait ended without success, before the evidence is collected.
pub(super) struct Ended {
    /// What ended it.
    pub code: Code,
    /// In one sentence.
    pub reason: String,
    /// The engine told that the instance is gone.
    pub is_gone: bool,
}

pub(super) fn ended(code: Code, reason: impl Into<String>) -> Ended {
    Ended { code, reason: reason.into(), is_gone: false }
}

/// Asks for a container; whoever waits for it asks again rather than wait long for one answer.
pub(super) async fn find(engine: &dyn Engine, name: &str) -> EngineResult<Option<Instance>> {
    within(ANSWER, engine.inspect(name)).await
}

/// Like [`find`], but if memory may be what ended the container, returns it only once the engine has said so, or had the
/// time to.
pub(super) async fn find_with_cause(
    engine: &dyn Engine,
    watch: &Watch,
    name: &str,
) -> EngineResult<Option<Instance>> {
    let until = tokio::time::Instant::now() + CAUSE_OF_END;
    let mut woken = None;
    loop {
        let mut found = find(engine, name).await;
        let Ok(Some(container)) = &mut found else { return found };
        container.oom_killed |= watch.was_killed_for_memory(&container.id);
        let now = tokio::time::Instant::now();
        if !is_unexplained(container) || watch.was_killed(&container.id) || now >= until {
            return found;
        }
        watch.want();
        let woken = woken.get_or_insert_with(|| watch.subscribe(&container.id));
        let _ = tokio::time::timeout_at(until.min(now + ASK_AGAIN), woken.notified()).await;
    }
}

/// Whether a container with a memory limit was killed, and the engine has not said by what.
fn is_unexplained(container: &Instance) -> bool {
    let has_ended = matches!(container.status, Status::Exited | Status::Dead | Status::Restarting);
    has_ended && container.exit_code == KILLED && container.memory > 0 && !container.oom_killed
}

/// The container runs, or why the wait is over.
pub(super) fn judge(
    found: EngineResult<Option<Instance>>,
    sidecar: &Sidecar,
    network: &str,
    watch: &Watch,
) -> Result<Instance, Ended> {
    let container = match found {
        Ok(Some(container)) => container,
        Ok(None) => {
            return Err(Ended { is_gone: true, ..ended(Code::SidecarExited, "its container was removed") });
        }
        Err(error) => return Err(ended(Code::EngineFailed, format!("the engine failed: {error}"))),
    };
    // Whoever took the name meanwhile: what it says is no evidence, and nothing is handed over to it.
    if !container.is_of(sidecar) {
        return Err(ended(Code::SidecarExited, "its container was replaced by another one"));
    }
    match container.status {
        Status::Running if !container.is_on(network) => {
            Err(ended(Code::NetworkUnusable, format!("its container left the network `{network}`")))
        }
        Status::Starting | Status::Running | Status::Restarting => Ok(container),
        Status::Paused => Err(ended(Code::SidecarExited, "its container was paused")),
        _ if container.is_lost => Err(ended(Code::SidecarExited, container.error)),
        _ if container.oom_killed => Err(ended(
            Code::SidecarExited,
            format!("it was killed because it ran out of memory (limit {} MiB)", container.memory >> 20),
        )),
        _ => {
            let whose = if watch.was_killed(&container.id) { "somebody stopped it; it" } else { "it" };
            let reason = format!("{whose} exited with code {}", container.exit_code);
            Err(ended(Code::SidecarExited, reason))
        }
    }
}

pub(super) fn is_unhealthy(container: &Instance) -> bool {
    container.health.as_ref().is_some_and(|health| health.status == HealthStatus::Unhealthy)
}

pub(super) fn unhealthy(container: &Instance) -> Ended {
    let run = container.health.as_ref().and_then(|health| health.runs.last());
    let said = run.map(|(code, output)| match output.trim() {
        "" => format!(": its test exited with {code}"),
        printed => format!(": its test exited with {code}: {printed}"),
    });
    ended(Code::SidecarUnhealthy, format!("the engine reports it unhealthy{}", said.unwrap_or_default()))
}
