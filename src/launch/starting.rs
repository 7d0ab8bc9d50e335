//! Each sidecar's start: once everything is as far as it has to be that it comes after.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join;

use super::apply::Applier;
use super::milestones::Milestones;
use crate::event::Event;
use crate::event::failure::phase::Phase;
use crate::plan::SidecarPlan;
use crate::plan::instance::Instance;
use crate::plan::sidecar::Sidecar;
use crate::readiness::wait::Waits;
use crate::report::error::Problem;
use crate::system::lock::{DeferredUnlink, Held};

/// A sidecar whose instance was started.
pub(super) struct Start {
    /// The instance, if it was inspected a moment ago and nothing was changed since.
    pub known: Option<Instance>,
    /// The instance's id.
    pub instance: String,
}

/// What the starts on one engine share.
#[derive(Clone, Copy)]
pub(super) struct Starting<'a> {
    pub applier: &'a Applier,
    pub waits: &'a Waits,
    pub milestones: &'a Milestones,
    /// Files of locks that are let go of.
    pub unlinks: &'a Mutex<Vec<DeferredUnlink>>,
}

impl<'a> Starting<'a> {
    /// Carries out each part of the plan, the first of which has this place among the launch's sidecars. Its lock and claim
    /// end with it; their files go with `unlinks`. A start gives `None` if it was not made, because another sidecar failed.
    pub(super) fn starts(
        self,
        parts: &'a [SidecarPlan],
        first: usize,
        (mut names, mut claims): (BTreeMap<String, Held>, BTreeMap<String, Held>),
    ) -> Vec<impl Future<Output = Result<Option<Start>, Problem>> + 'a> {
        let starts = parts.iter().enumerate().map(move |(index, part)| {
            let name = &part.sidecar.container;
            let held = [names.remove(name), claims.remove(name)];
            if !self.milestones.awaited_by(first + index).is_empty() {
                // Before any of them begins: one may fail at once.
                self.waits.phases.note(part.name(), Phase::Held);
            }
            async move {
                let Some(free) = self.once_free(part, first + index).await? else { return Ok(None) };
                self.applier.sidecar(&free).await?;
                let held = held.into_iter().flatten().map(Held::release);
                self.unlinks.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
                let known = part.existing.clone().filter(|_| part.is_untouched());
                let instance = self.applier.departure.instance_of(&part.sidecar).unwrap_or_default();
                Ok(Some(Start { known, instance }))
            }
        });
        starts.collect()
    }

    /// Waits until nothing holds a part back any more, and fetches what it needs meanwhile.
    async fn once_free(
        self,
        part: &'a SidecarPlan,
        place: usize,
    ) -> Result<Option<Cow<'a, SidecarPlan>>, Problem> {
        let (sidecar, awaited) = (part.name(), self.milestones.awaited_by(place));
        if awaited.is_empty() {
            return Ok(Some(Cow::Borrowed(part)));
        }
        self.applier.reporter.tell(&Event::Held { sidecar, after: &awaited });
        let free = async { self.milestones.until_free(place).await.ok_or(None) };
        let fetched = async { self.applier.fetch(part).await.map_err(Some) };
        let instances = match try_join(free, fetched).await {
            Ok((instances, ())) => instances,
            Err(None) => return Ok(None),
            Err(Some(problem)) => return Err(problem),
        };
        self.waits.phases.note(sidecar, Phase::Starting);
        self.applier.reporter.tell(&Event::Released { sidecar });
        let mut part = part.clone().without_pull();
        if part.sidecar.definition.job().is_some() {
            let job = Sidecar { predecessors: instances, ..Sidecar::clone(&part.sidecar) };
            part.sidecar = Arc::new(job);
        }
        Ok(Some(Cow::Owned(part)))
    }
}
