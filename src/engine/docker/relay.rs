//! Dialling where this host has no route to the containers: one throwaway container on their network relays.
//!
//! It runs our own small static program where the image's architecture fits, else the image's python3, nc or
//! bash, one execution a dial. It has no mounts and no capabilities, little memory, nothing of the launch's environment, and ends when its standard
//! input closes, which happens at the latest when this process ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use super::api::{Api, ContainerSpec, Status};
use crate::engine::dialler::{DialError, Dialler};
use crate::engine::{Attached, EngineError, EngineErrorKind, EngineResult};

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod multiplexed;
#[cfg(test)]
mod tests;
mod tool;

/// The relay program, compressed; empty where it could not be built.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay.gz"));
/// Marks relay containers.
pub const LABEL_RELAY: &str = "farrier.relay";
/// How long clearing up behind other launches may hold this one up; what is left is for the next one.
const SWEEPING: Duration = Duration::from_secs(2);

/// Whether farrier's own program was built.
#[must_use]
pub const fn is_built_in() -> bool {
    !PROGRAM.is_empty()
}

/// Starts a relay on the network, from an image that is present.
///
/// # Errors
/// When the image can run neither our program nor one of the tools.
pub async fn start(
    api: &Arc<dyn Api>,
    network: &str,
    image: &str,
    architecture: &str,
) -> EngineResult<Arc<dyn Dialler>> {
    let found = api.image(image).await?.ok_or_else(|| {
        EngineError::new(EngineErrorKind::NotFound, format!("the image {image} is not present"))
    })?;
    if !PROGRAM.is_empty() && fits(&found.architecture, architecture) {
        match multiplexed::start(api, network, image).await {
            Ok(relay) => return Ok(Arc::new(relay)),
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) => tracing::debug!("the relay program does not run in {image}: {error}"),
        }
    }
    tool::start(api, network, image).await.map(|relay| Arc::new(relay) as Arc<dyn Dialler>)
}

/// Removes relays that a launch of this host made but was ended, or failed, before it started them. This launch
/// has none yet that it will start.
pub async fn sweep(api: &dyn Api) {
    // An engine waits for the rest of an upload that nobody finishes, and answers nothing about that container.
    let _ = tokio::time::timeout(SWEEPING, remove_abandoned(api)).await;
}

async fn remove_abandoned(api: &dyn Api) {
    let own = rustix::process::getpid();
    let is_alive = |process: &String| {
        let process = process.parse().ok().and_then(Pid::from_raw);
        process.is_some_and(|process| process != own && test_kill_process(process).is_ok())
    };
    for relay in api.labelled(LABEL_RELAY).await.unwrap_or_default() {
        let Ok(Some(found)) = api.container(&relay.name).await else { continue };
        if found.status == Status::Created && !found.labels.get(LABEL_RELAY).is_some_and(is_alive) {
            let _ = api.remove(&found.id, true).await;
        }
    }
}

/// Whether an image for this architecture, on an engine of that one, runs what was built for this host.
fn fits(image: &str, engine: &str) -> bool {
    let normal = |name: &str| match name {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    };
    (image.is_empty() || normal(image) == std::env::consts::ARCH) && normal(engine) == std::env::consts::ARCH
}

fn helper(network: &str, image: &str, entrypoint: &[&str]) -> ContainerSpec {
    let mut random = [0_u8; 8];
    let _ = getrandom::fill(&mut random);
    ContainerSpec {
        name: format!("farrier-relay-{:016x}", u64::from_ne_bytes(random)),
        image: image.to_owned(),
        entrypoint: entrypoint.iter().map(|&argument| argument.to_owned()).collect(),
        labels: BTreeMap::from([(LABEL_RELAY.to_owned(), std::process::id().to_string())]),
        network: network.to_owned(),
        helper: true,
        ..ContainerSpec::default()
    }
}

/// Makes, attaches to and starts a helper; removes it where that fails.
async fn run_helper(
    api: &Arc<dyn Api>,
    spec: &ContainerSpec,
    archive: Option<Vec<u8>>,
) -> EngineResult<(String, Attached)> {
    let id = api.create(spec).await?;
    let begin = async {
        if let Some(archive) = archive {
            api.upload(&id, archive).await?;
        }
        let attached = api.attach(&id).await?;
        api.start(&id).await?;
        Ok(attached)
    };
    match begin.await {
        Ok(attached) => Ok((id, attached)),
        Err(error) => {
            let _ = api.remove(&id, true).await;
            Err(error)
        }
    }
}

fn gone() -> DialError {
    DialError::Other("the relay container ended".to_owned())
}
