//! The barrier before the harness: after the last sidecar became ready, farrier looks at all of them once more.
//!
//! One answer of each engine tells which runs go on. An instance that the answer leaves in doubt is inspected. A sidecar that
//! is not ready any more goes back into its wait, and the barrier begins again.

use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;

use super::look::ANSWER;
use super::wait::{Wait, Waits};
use crate::engine::limited::within;
use crate::event::failure::evidence::FailureReport;
use crate::plan::instance::Instance;

/// How many of a launch's sidecars are not ready yet.
#[derive(Debug)]
pub struct Together(watch::Sender<usize>);

/// A sidecar that is ready.
pub struct Ready<'a> {
    /// Its wait, for as long as the others are waited for.
    pub wait: Wait<'a>,
    /// The run that is ready.
    pub instance: Instance,
}

impl Together {
    /// None of so many sidecars is ready.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self(watch::Sender::new(count))
    }

    /// That a job has succeeded, which it does once.
    pub fn succeeded(&self) {
        self.0.send_modify(|missing| *missing -= 1);
    }

    /// Waits until this sidecar and all others are ready, and returns its instance. `held` is its instance if it is
    /// ready already, `known` if the launch has just inspected it. Each time that it is ready, `reached` is told.
    ///
    /// # Errors
    /// The evidence, if the sidecar does not become ready, or ends while others are waited for.
    pub async fn ready(
        &self,
        wait: &Wait<'_>,
        mut held: Option<Instance>,
        mut known: Option<Instance>,
        reached: impl Fn(&Instance),
    ) -> Result<Instance, Box<FailureReport>> {
        loop {
            let instance = match held.take() {
                Some(instance) => instance,
                None => wait.until_ready(known.take()).await?,
            };
            reached(&instance);
            self.0.send_modify(|missing| *missing -= 1);
            let mut missing = self.0.subscribe();
            tokio::select! {
                biased;
                // The sender lives as long as this future.
                _ = missing.wait_for(|missing| *missing == 0) => return Ok(instance),
                lost = wait.until_lost(&instance) => {
                    self.0.send_modify(|missing| *missing += 1);
                    lost?;
                }
            }
        }
    }
}

/// Looks at all sidecars after the last one became ready, and waits again until that look finds all of them ready. Each
/// engine is asked once.
///
/// # Errors
/// The evidence about the first sidecar that will not be ready, and the network that it was to be ready on.
pub async fn pass(waits: &[Waits], all: &mut [Ready<'_>]) -> Result<(), (String, Box<FailureReport>)> {
    loop {
        let told = still_running(waits, all).await;
        let looks = all.iter().zip(told).map(async |(one, goes_on)| {
            if goes_on {
                return Ok(Some(one.instance.clone()));
            }
            one.wait.still_ready(&one.instance).await.map_err(|report| one.lost(report))
        });
        let held = try_join_all(looks).await?;
        let passed = held.iter().all(Option::is_some);
        let together = Together::of(all.len());
        let again = all.iter().zip(held).map(async |(one, held)| {
            let ready = together.ready(&one.wait, held, None, |_| ()).await;
            ready.map_err(|report| one.lost(report))
        });
        let instances = try_join_all(again).await?;
        all.iter_mut().zip(instances).for_each(|(one, instance)| one.instance = instance);
        if passed {
            return Ok(());
        }
    }
}

/// Whether each run goes on, as far as one call to each engine tells. An engine that does not answer leaves all in doubt.
async fn still_running(waits: &[Waits], all: &[Ready<'_>]) -> Vec<bool> {
    let mut told = vec![false; all.len()];
    let asked = join_all(waits.iter().map(async |waits| {
        let here: Vec<usize> = (0..all.len()).filter(|index| all[*index].wait.is_of(waits)).collect();
        let runs: Vec<&Instance> = here.iter().map(|index| &all[*index].instance).collect();
        let answer = within(ANSWER, waits.engine.still_running(&runs, &waits.network)).await;
        here.into_iter().zip(answer.unwrap_or_default()).collect::<Vec<_>>()
    }));
    for (index, goes_on) in asked.await.into_iter().flatten() {
        told[index] = goes_on;
    }
    told
}

impl Ready<'_> {
    fn lost(&self, report: Box<FailureReport>) -> (String, Box<FailureReport>) {
        (self.wait.network().to_owned(), report)
    }
}
