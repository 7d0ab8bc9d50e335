//! What a look at the container says about the wait for it. Nothing here waits or asks.

use std::time::Duration;

use super::watch::Watch;
use crate::engine::bounded::within;
use crate::engine::{Container, Engine, EngineResult, HealthStatus, Status};
use crate::error::Code;
use crate::sidecar::{LABEL_HASH, LABEL_SIDECAR, Sidecar};

/// How long one look may take: the connection may be one that a restart of the engine left dead.
const ANSWER: Duration = Duration::from_secs(10);

/// Why a wait ended without success, before the evidence is collected.
pub(super) struct Ended {
    /// What ended it.
    pub code: Code,
    /// In one sentence.
    pub reason: String,
}

pub(super) fn ended(code: Code, reason: impl Into<String>) -> Ended {
    Ended { code, reason: reason.into() }
}

/// Asks for a container; whoever waits for it asks again rather than wait long for one answer.
pub(super) async fn find(engine: &dyn Engine, name: &str) -> EngineResult<Option<Container>> {
    within(ANSWER, engine.container(name)).await
}

/// The container runs, or why the wait is over.
pub(super) fn judge(
    found: EngineResult<Option<Container>>,
    sidecar: &Sidecar,
    watch: &Watch,
) -> Result<Container, Ended> {
    let container = match found {
        Ok(Some(container)) => container,
        Ok(None) => return Err(ended(Code::SidecarExited, "its container was removed")),
        Err(error) => return Err(ended(Code::EngineFailed, format!("the engine failed: {error}"))),
    };
    // Whoever took the name meanwhile: what it says is no evidence, and nothing is handed over to it.
    let label = |name: &str| container.labels.get(name).map(String::as_str);
    if label(LABEL_SIDECAR) != Some(sidecar.name()) || label(LABEL_HASH) != Some(&sidecar.hash) {
        return Err(ended(Code::SidecarExited, "its container was replaced by another one"));
    }
    match container.status {
        Status::Running | Status::Restarting => Ok(container),
        Status::Paused => Err(ended(Code::SidecarExited, "its container was paused")),
        _ if container.oom_killed => Err(ended(
            Code::SidecarExited,
            format!("it was killed for memory (limit {} MiB)", container.memory >> 20),
        )),
        _ => {
            let whose = if watch.was_killed(&container.id) { "somebody stopped it; it" } else { "it" };
            let reason = format!("{whose} exited with code {}", container.exit_code);
            Err(ended(Code::SidecarExited, reason))
        }
    }
}

pub(super) fn is_unhealthy(container: &Container) -> bool {
    container.health.as_ref().is_some_and(|health| health.status == HealthStatus::Unhealthy)
}

pub(super) fn unhealthy(container: &Container) -> Ended {
    let run = container.health.as_ref().and_then(|health| health.runs.last());
    let said = run.map(|(code, output)| format!(": its test exited with {code}: {}", output.trim()));
    ended(Code::SidecarUnhealthy, format!("the engine reports it unhealthy{}", said.unwrap_or_default()))
}

/// Whether both looks saw the same run of the same container at the same address.
pub(super) fn is_same_run(before: &Container, now: &Container, network: &str) -> bool {
    let address = |container: &Container| container.networks.get(network).and_then(|found| found.address);
    before.id == now.id && before.started_at == now.started_at && address(before) == address(now)
}
