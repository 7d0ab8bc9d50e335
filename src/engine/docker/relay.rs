//! Dialling where this host has no route to the containers: one throwaway container on their network relays.
//!
//! It runs our own small static program, from an image that contains nothing else and that the engine keeps once it was
//! loaded; else another image's python3, nc or bash, one execution a dial. It has no mounts and no capabilities, little
//! memory, nothing of the launch's environment, and ends when its standard input closes, which happens at the latest when
//! this process ends.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tokio::runtime::Handle;

use super::api::{Api, ContainerSpec, Status};
use crate::engine::dialler::{DialError, Dialler};
use crate::engine::machine::machine;
use crate::engine::{Attached, EngineError, EngineErrorKind, EngineResult, RelayImages};

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod multiplexed;
mod stream;
#[cfg(test)]
mod tests;
mod tool;

/// The image with the relay program, as the engine takes it; empty where the program could not be built.
const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/relay-image.tar"));
/// What it is called there. No registry has images of this host, so none is asked for it.
const REFERENCE: &str = concat!("localhost/farrier-relay:", env!("FARRIER_RELAY_TAG"));
/// Marks relay containers, with the process that made them.
pub const LABEL_RELAY: &str = "farrier.relay";
/// Where that process is.
const LABEL_RELAY_MACHINE: &str = "farrier.relay.machine";
/// How long clearing up behind other launches may hold this one up; what is left is for the next one.
const SWEEPING: Duration = Duration::from_secs(2);

/// Whether farrier's own program was built.
#[must_use]
pub const fn is_built_in() -> bool {
    !IMAGE.is_empty()
}

/// Starts a relay on the network, or says why there is none: from the image that was named for it, else our own, else
/// whichever other image can run one. `architecture` tells the engine's: another one does not run our own, which the engine
/// itself does not say when it starts it.
///
/// # Errors
/// When the connection to the engine fails.
pub async fn start(
    api: &Arc<dyn Api>,
    network: &str,
    images: &RelayImages,
    architecture: impl Future<Output = EngineResult<Option<String>>>,
) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
    let own = is_built_in().then_some(None);
    let named = images.named.as_deref().map(Some);
    let others = images.others.iter().map(|image| Some(image.as_str()));
    let (mut reason, mut architecture) = (None, Some(architecture));
    for image in named.into_iter().chain(own).chain(others) {
        let started = match (image, architecture.take_if(|_| image.is_none())) {
            (None, Some(architecture)) => own_relay(api, network, architecture).await,
            (image, _) => {
                let started = tool::start(api, network, image.unwrap_or(REFERENCE)).await;
                started.map(|relay| Arc::new(relay) as Arc<dyn Dialler>)
            }
        };
        match started {
            Ok(dialler) => return Ok(Ok(dialler)),
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) => {
                let image = image.unwrap_or(REFERENCE);
                tracing::debug!("{image} runs no relay: {error}");
                let why = format!("cannot run a relay in {image}: {error}");
                // Without the network, no other image runs one either.
                if is_without_network(&error) {
                    return Ok(Err(why));
                }
                reason.get_or_insert(why);
            }
        }
    }
    Ok(Err(reason.unwrap_or_else(|| "no image that can run a relay is present".to_owned())))
}

/// Our own program, while the engine is asked what it is.
async fn own_relay(
    api: &Arc<dyn Api>,
    network: &str,
    architecture: impl Future<Output = EngineResult<Option<String>>>,
) -> EngineResult<Arc<dyn Dialler>> {
    let (relay, architecture) = join(multiplexed::start(api, network), architecture).await;
    let relay = relay?;
    match architecture {
        Ok(Some(other)) if !fits(&other) => {
            relay.end().await;
            let message = format!("it is for {}, and the engine is for {other}", std::env::consts::ARCH);
            Err(EngineError::new(EngineErrorKind::Refused, message))
        }
        Ok(_) => Ok(Arc::new(relay)),
        Err(error) => Err(error),
    }
}

/// Whether the network is gone, and not the relay, which somebody may have removed.
fn is_without_network(error: &EngineError) -> bool {
    error.kind == EngineErrorKind::NotFound && error.message.contains("network ")
}

/// Removes relays that a launch of this machine made but was ended before it started them.
pub async fn sweep(api: &dyn Api) {
    let _ = tokio::time::timeout(SWEEPING, remove_abandoned(api)).await;
}

async fn remove_abandoned(api: &dyn Api) {
    let own = std::process::id().to_string();
    let is_used = |name: &str, process: &String| {
        if *process == own {
            return living().contains(name);
        }
        let process = process.parse().ok().and_then(Pid::from_raw);
        // It may be another user's.
        process.is_some_and(|process| test_kill_process(process) != Err(Errno::SRCH))
    };
    let of_here = format!("{LABEL_RELAY_MACHINE}={}", processes());
    let relays = api.labelled(&of_here).await.unwrap_or_default();
    let abandoned = relays.iter().filter(|relay| relay.status != Some(Status::Running)).map(async |relay| {
        let Ok(Some(found)) = api.container(&relay.name).await else { return };
        let is_used = found.labels.get(LABEL_RELAY).is_some_and(|process| is_used(&found.name, process));
        if found.status == Status::Created && !is_used {
            let _ = api.remove(&found.id, true).await;
        }
    });
    join_all(abandoned).await;
}

/// What tells the processes of this machine that see each other from all others.
fn processes() -> String {
    let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |found| found.ino());
    format!("{}.{namespace}", machine())
}

/// Whether an engine of this architecture runs what was built for this host.
fn fits(engine: &str) -> bool {
    let engine = match engine {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    };
    engine == std::env::consts::ARCH
}

fn helper(network: &str, image: &str, entrypoint: &[&str]) -> ContainerSpec {
    let mut random = [0_u8; 8];
    let _ = getrandom::fill(&mut random);
    ContainerSpec {
        name: format!("farrier-relay-{:016x}", u64::from_ne_bytes(random)),
        image: image.to_owned(),
        entrypoint: entrypoint.iter().map(|&argument| argument.to_owned()).collect(),
        labels: BTreeMap::from([
            (LABEL_RELAY.to_owned(), std::process::id().to_string()),
            (LABEL_RELAY_MACHINE.to_owned(), processes()),
        ]),
        network: network.to_owned(),
        helper: true,
        ..ContainerSpec::default()
    }
}

/// The names of this process's helpers.
fn living() -> MutexGuard<'static, BTreeSet<String>> {
    static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A helper, from before it is made. One that is given up before it runs is removed; after that, it ends with its input.
struct Helper {
    api: Arc<dyn Api>,
    name: String,
    runs: bool,
}

impl Helper {
    fn of(api: &Arc<dyn Api>, spec: &ContainerSpec) -> Self {
        living().insert(spec.name.clone());
        Self { api: Arc::clone(api), name: spec.name.clone(), runs: false }
    }

    /// Lets this attach to it and start it; removes it where that fails.
    async fn begin(&mut self, both: impl Future<Output = EngineResult<Attached>>) -> EngineResult<Attached> {
        let begun = both.await;
        if begun.is_err() {
            self.end().await;
        }
        self.runs = true;
        begun
    }

    /// Ends and removes it.
    async fn end(&self) {
        let _ = self.api.remove(&self.name, true).await;
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        living().remove(&self.name);
        if let (false, Ok(runtime)) = (self.runs, Handle::try_current()) {
            let (api, name) = (Arc::clone(&self.api), self.name.clone());
            runtime.spawn(async move { api.remove(&name, true).await });
        }
    }
}

fn gone() -> DialError {
    DialError::Other("the relay container ended".to_owned())
}
