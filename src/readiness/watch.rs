//! The engine's events as wake-up calls: whoever waits for a container is woken when something happens to it,
//! and then looks for itself. So a repeated, late or lost event costs a look, never a wrong answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;

use crate::engine::{ChangeKind, Engine};

/// The pause before a broken event stream is opened again.
const REOPEN: Duration = Duration::from_millis(250);

/// Who is woken for which container.
#[derive(Debug, Default)]
pub struct Watch {
    waiting: Mutex<HashMap<String, Vec<Arc<Notify>>>>,
    killed: Mutex<HashSet<String>>,
    killed_for_memory: Mutex<HashSet<String>>,
    wanted: Notify,
}

impl Watch {
    /// Is woken from now on when something happens to the container.
    #[must_use]
    pub fn subscribe(&self, container: &str) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(container.to_owned()).or_default().push(Arc::clone(&notify));
        notify
    }

    /// Lets [`Watch::run`] begin. What is ready at its first poll needs no events.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Whether somebody sent a signal to the container's current run: it did not end by itself.
    #[must_use]
    pub fn was_killed(&self, container: &str) -> bool {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner).contains(container)
    }

    /// Whether the engine said that the kernel killed the container's current run for memory. Docker 20.10 shows that
    /// at the container only if it learnt it before the end.
    #[must_use]
    pub fn was_killed_for_memory(&self, container: &str) -> bool {
        self.killed_for_memory.lock().unwrap_or_else(PoisonError::into_inner).contains(container)
    }

    fn note(&self, container: &str, kind: ChangeKind) {
        let mut killed = self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut for_memory = self.killed_for_memory.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            ChangeKind::Signalled => drop(killed.insert(container.to_owned())),
            ChangeKind::OutOfMemory => drop(for_memory.insert(container.to_owned())),
            ChangeKind::Started => {
                killed.remove(container);
                for_memory.remove(container);
            }
            ChangeKind::Ended | ChangeKind::Other => {}
        }
    }

    fn wake(&self, container: Option<&str>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = waiting.iter().filter(|(id, _)| container.is_none_or(|container| *id == container));
        for notify in woken.flat_map(|(_, subscribers)| subscribers) {
            notify.notify_one();
        }
    }

    /// Reads events since a moment, as soon as somebody wants them and for as long as it is polled, opening the
    /// stream again whenever it breaks.
    pub async fn run(
        &self,
        engine: &dyn Engine,
        since: impl Future<Output = Option<String>>,
    ) -> std::convert::Infallible {
        self.wanted.notified().await;
        // Without its moment there are no events; containers are looked at all the same.
        let Some(mut since) = since.await else { return std::future::pending().await };
        loop {
            match engine.changes(&since).await {
                Ok(mut changes) => {
                    // What happened before the stream was open is seen by looking.
                    self.wake(None);
                    while let Some(Ok(change)) = changes.next().await {
                        tracing::debug!(instance = change.instance, kind = ?change.kind, "change");
                        // One without a moment leaves the last one as it is.
                        if change.time > 0 {
                            since =
                                format!("{}.{:09}", change.time / 1_000_000_000, change.time % 1_000_000_000);
                        }
                        self.note(&change.instance, change.kind);
                        self.wake(Some(&change.instance));
                    }
                }
                Err(error) => tracing::debug!("no events: {error}"),
            }
            tokio::time::sleep(REOPEN).await;
        }
    }
}
