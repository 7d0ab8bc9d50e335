//! Marks of use that commands on other machines see. A mark is a configuration object of the Swarm, which tells nothing
//! but its labels: what a command wants of which services, and whose command it is. It is made before the command looks
//! at anything, and renewed while the command lives; one that is not has no meaning after [`LIFETIME`] by the manager's
//! clock, and whoever makes a mark removes it some hours later. A command whose mark was removed makes another.
//! `others` says what marks mean.
//!
//! It names services, not their makings: who uses a service goes on using it when it was made again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::task::JoinHandle;

use super::api::{Mark, SwarmApi, Want};
use super::comparison::wanted_networks;
use super::files;
#[cfg(doc)]
use super::others::LIFETIME;
use super::others::{Others, Own, made_of};
use crate::engine::limited::within;
use crate::engine::machine::machine;
use crate::engine::{EngineErrorKind, EngineResult, Intent, Use};
use crate::plan::instance::Instance;
use crate::system::lock::Holder;

/// How long a mark that has no meaning is left: its launch may be on a machine that slept, or behind a link that was cut.
const LEFT: SignedDuration = SignedDuration::from_hours(6);
/// How often it is renewed: a manager that is started again costs one or two of them.
const RENEWAL: Duration = Duration::from_secs(15);
/// How long one renewal may take, and the pause before the next attempt if it failed: several have to fail before the mark
/// has no meaning.
const RENEWING: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// The newest mark of this process on a Swarm, if it has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest(Arc<Mutex<Option<Own>>>);

impl Newest {
    /// The mark.
    pub(super) fn get(&self) -> Option<Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, own: Option<Own>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }
}

/// What a command wants of each service.
fn wants(intent: Intent<'_>) -> BTreeMap<String, Want> {
    match intent {
        Intent::Use(sidecars, network) => {
            let want = |sidecar: &crate::plan::sidecar::Sidecar| Want::Use {
                of: made_of(sidecar),
                networks: wanted_networks(sidecar, &network.name).into_iter().map(str::to_owned).collect(),
            };
            sidecars.iter().map(|sidecar| (sidecar.container.clone(), want(sidecar))).collect()
        }
        Intent::Removal(names) => names.iter().map(|&name| (name.to_owned(), Want::Removal)).collect(),
    }
}

/// A mark that is renewed until it is ended.
struct Kept {
    api: Arc<dyn SwarmApi>,
    /// It is another one after somebody removed the first.
    newest: Newest,
    wants: Arc<Mutex<BTreeMap<String, Want>>>,
    renewing: JoinHandle<()>,
}

/// Marks what a command is about to do.
///
/// # Errors
/// If the Swarm does not take the mark.
pub(super) async fn begin(
    api: &Arc<dyn SwarmApi>,
    newest: &Newest,
    intent: Intent<'_>,
    command: &str,
) -> EngineResult<Box<dyn Use>> {
    let (now, marks) = api.marks().await?;
    for mark in marks.iter().filter(|mark| now.duration_since(mark.renewed_at) > LEFT) {
        // Somebody else may be at it.
        let _ = api.remove_config(&mark.id).await;
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mark = Mark {
        wants: wants(intent),
        machine: machine(),
        host,
        process: std::process::id(),
        command: command.to_owned(),
        ..Mark::default()
    };
    let before = marks.into_iter().map(|mark| mark.id).collect();
    newest.set(Some(Own { id: api.create_mark(&mark).await?, before }));
    let wants = Arc::new(Mutex::new(mark.wants.clone()));
    let (left, renewed) = (Arc::clone(api), renew(Arc::clone(api), newest.clone(), Arc::clone(&wants), mark));
    // Nobody waits for the sweep, and what it does not do the next command does.
    let renewing = tokio::spawn(async move {
        if let Err(error) = within(RENEWING, files::sweep_left(left.as_ref(), now)).await {
            tracing::debug!("files of services that are gone stay: {error}");
        }
        renewed.await;
    });
    Ok(Box::new(Kept { api: Arc::clone(api), newest: newest.clone(), wants, renewing }))
}

/// Renews the mark, for as long as this is polled.
async fn renew(
    api: Arc<dyn SwarmApi>,
    newest: Newest,
    wants: Arc<Mutex<BTreeMap<String, Want>>>,
    mut mark: Mark,
) {
    let mut pause = RENEWAL;
    loop {
        tokio::time::sleep(pause).await;
        mark.wants = wants.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(own) = newest.get() else { return };
        let renewing = async {
            match api.renew_mark(&own.id, &mark.wants).await {
                Err(error) if error.kind == EngineErrorKind::NotFound => {
                    api.create_mark(&mark).await.map(|id| newest.set(Some(Own { id, ..own })))
                }
                result => result,
            }
        };
        let result = within(RENEWING, renewing).await;
        pause = if result.is_ok() { RENEWAL } else { RETRY };
        if let Err(error) = result {
            tracing::debug!("the mark of use cannot be renewed: {error}");
        }
    }
}

#[async_trait]
impl Use for Kept {
    async fn keep(&self, instances: &[&Instance]) -> EngineResult<()> {
        let kept = {
            let mut wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
            let count = wants.len();
            wants.retain(|name, _| instances.iter().any(|instance| instance.name == *name));
            (wants.len() < count).then(|| wants.clone())
        };
        let (Some(wants), Some(own)) = (kept, self.newest.get()) else { return Ok(()) };
        // The next renewal writes this, too, so nothing that is ready fails for it.
        if let Err(error) = within(RENEWING, self.api.renew_mark(&own.id, &wants)).await {
            tracing::debug!("the mark of use keeps more than it should until it is renewed: {error}");
        }
        Ok(())
    }

    async fn earlier(&self) -> EngineResult<BTreeMap<String, Vec<Holder>>> {
        let (now, marks) = self.api.marks().await?;
        let own = self.newest.get();
        let others = Others::of(&marks, now, &machine(), own.as_ref());
        let wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(wants.keys().map(|name| (name.clone(), others.earlier_users(name))).collect())
    }

    async fn end(self: Box<Self>) {
        self.renewing.abort();
        let Some(own) = self.newest.get() else { return };
        self.newest.set(None);
        if let Err(error) = self.api.remove_config(&own.id).await {
            tracing::debug!("the mark of use stays until it has no meaning: {error}");
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::swarm::fake::{Fake, Renewal};

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_or_hangs_is_retried_while_the_mark_has_a_meaning() {
        let fails = Renewal::Fails(EngineErrorKind::Unreachable);
        let fake = Arc::new(Fake { renewals: Mutex::new([Renewal::Hangs, fails].into()), ..Fake::default() });
        let (api, begun): (Arc<dyn SwarmApi>, _) = (fake.clone(), tokio::time::Instant::now());
        let intent = Intent::Removal(&["farrier-db"]);
        let used = begin(&api, &Newest::default(), intent, "a test").await.expect("a mark");
        tokio::time::sleep(Duration::from_secs(50)).await;
        let seconds: Vec<u64> =
            fake.renewed.lock().expect("no panic").iter().map(|at| (*at - begun).as_secs()).collect();
        assert_eq!(seconds, [15, 15 + 10 + 2, 15 + 10 + 2 + 2, 15 + 10 + 2 + 2 + 15]);
        used.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_that_is_ready_fails_because_its_mark_cannot_be_changed() {
        for kind in [EngineErrorKind::NotFound, EngineErrorKind::Unreachable, EngineErrorKind::Conflict] {
            let renewals = Mutex::new([Renewal::Fails(kind)].into());
            let api: Arc<dyn SwarmApi> = Arc::new(Fake { renewals, ..Fake::default() });
            let intent = Intent::Removal(&["farrier-db"]);
            let used = begin(&api, &Newest::default(), intent, "a test").await.expect("a mark");
            assert!(used.keep(&[]).await.is_ok(), "{kind:?}");
        }
    }
}
