//! The barrier before the harness: after the last sidecar became ready, farrier looks at all of them once more.
//!
//! One listing tells of each container whether it still runs, by a connection to the network that is another one after
//! each start. A container that the listing leaves in doubt is inspected. A sidecar that is not ready any more goes back into
//! its wait, and the barrier begins again.

use futures_util::future::try_join_all;
use tokio::sync::watch;

use super::look::ANSWER;
use super::wait::{Wait, Waits};
use crate::engine::bounded::within;
use crate::engine::{Container, Listed, Status};
use crate::event::failure::dossier::Dossier;
use crate::plan::sidecar::LABEL_SIDECAR;

/// How many of a launch's sidecars are not ready yet.
#[derive(Debug)]
pub struct Together(watch::Sender<usize>);

/// A sidecar that is ready.
pub struct Ready<'a> {
    /// Its wait, for as long as the others are waited for.
    pub wait: Wait<'a>,
    /// The run that is ready.
    pub container: Container,
}

impl Together {
    /// None of so many sidecars is ready.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self(watch::Sender::new(count))
    }

    /// Waits until this sidecar and all others are ready, and returns its container. `held` is its container if it is
    /// ready already, `known` if the launch has just inspected it.
    ///
    /// # Errors
    /// The evidence, if the sidecar does not become ready, or ends while others are waited for.
    pub async fn ready(
        &self,
        wait: &Wait<'_>,
        mut held: Option<Container>,
        mut known: Option<Container>,
    ) -> Result<Container, Box<Dossier>> {
        loop {
            let container = match held.take() {
                Some(container) => container,
                None => wait.until_ready(known.take()).await?,
            };
            self.0.send_modify(|missing| *missing -= 1);
            let mut missing = self.0.subscribe();
            tokio::select! {
                biased;
                // The sender lives as long as this future.
                _ = missing.wait_for(|missing| *missing == 0) => return Ok(container),
                lost = wait.until_lost(&container) => {
                    self.0.send_modify(|missing| *missing += 1);
                    lost?;
                }
            }
        }
    }
}

/// Looks at all sidecars after the last one became ready, and waits again until that look finds all of them ready.
///
/// # Errors
/// The evidence about the first sidecar that will not be ready.
pub async fn pass(waits: &Waits, all: &mut [Ready<'_>]) -> Result<(), Box<Dossier>> {
    loop {
        // A listing that fails leaves every container in doubt.
        let listed = within(ANSWER, waits.engine.labelled(LABEL_SIDECAR)).await.unwrap_or_default();
        let looks = all.iter().map(|one| async {
            if listed.iter().any(|listed| one.is_told_by(listed, &waits.network)) {
                return Ok(Some(one.container.clone()));
            }
            one.wait.still_ready(&one.container).await
        });
        let held = try_join_all(looks).await?;
        let passed = held.iter().all(Option::is_some);
        let together = Together::of(all.len());
        let again = all.iter().zip(held).map(|(one, held)| together.ready(&one.wait, held, None));
        let containers = try_join_all(again).await?;
        all.iter_mut().zip(containers).for_each(|(one, container)| one.container = container);
        if passed {
            return Ok(());
        }
    }
}

impl Ready<'_> {
    /// Whether a listing proves that the run goes on at the same address.
    fn is_told_by(&self, listed: &Listed, network: &str) -> bool {
        let seen = self.container.networks.get(network).filter(|endpoint| !endpoint.id.is_empty());
        let place = listed.places.get(network);
        let is_there = |seen: &crate::engine::Endpoint| {
            place.is_some_and(|(id, address)| *id == seen.id && *address == seen.address)
        };
        listed.id == self.container.id
            && listed.status == Some(Status::Running)
            && !(listed.is_unhealthy && self.wait.goes_by_health())
            && seen.is_some_and(is_there)
    }
}
