//! How far each sidecar of a launch is, for those that come after it.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::definition::order::{Reached, edges};
use crate::plan::SidecarPlan;

/// All sidecars of a launch, each by its place among them.
pub(super) struct Milestones {
    names: Vec<String>,
    reached: Vec<watch::Sender<Milestone>>,
    /// What each waits for before it starts.
    before: Vec<Vec<(usize, Reached)>>,
    /// That one of them failed, which ends the waits of all.
    pub failed: CancellationToken,
}

/// How far one is, and its instance.
#[derive(Clone, Debug, Default)]
struct Milestone {
    reached: Option<Reached>,
    instance: String,
}

impl Milestones {
    /// None of them has begun, and none waits for another one.
    pub fn without_order(names: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = names.collect();
        Self {
            reached: names.iter().map(|_| watch::Sender::default()).collect(),
            before: vec![Vec::new(); names.len()],
            names,
            failed: CancellationToken::new(),
        }
    }

    /// None of them has begun. One waits for another one if either of both is to be changed: what runs as it is declared
    /// needs no order.
    pub fn of(parts: &[&SidecarPlan]) -> Self {
        let before = edges(parts.iter().map(|part| &part.sidecar.definition));
        let is_held = |place: usize, other: usize| !(parts[place].is_settled() && parts[other].is_settled());
        let before = before
            .into_iter()
            .enumerate()
            .map(|(place, before)| before.into_iter().filter(|(other, _)| is_held(place, *other)).collect());
        let names = parts.iter().map(|part| part.name().to_owned());
        Self { before: before.collect(), ..Self::without_order(names) }
    }

    /// Notes how far one is.
    pub fn note(&self, place: usize, reached: Reached, instance: &str) {
        let milestone = Milestone { reached: Some(reached), instance: instance.to_owned() };
        self.reached[place].send_replace(milestone);
    }

    /// The names of those that one waits for before it starts.
    pub fn awaited_by(&self, place: usize) -> Vec<String> {
        self.before[place].iter().map(|(other, _)| self.names[*other].clone()).collect()
    }

    /// Waits until everything that one comes after is as far as it has to be, and returns the instances by their names;
    /// `None` once one of the launch failed.
    pub async fn until_free(&self, place: usize) -> Option<BTreeMap<String, String>> {
        let all = async {
            let mut instances = BTreeMap::new();
            for (other, until) in &self.before[place] {
                let mut seen = self.reached[*other].subscribe();
                // The sender lives as long as this future.
                let found = seen.wait_for(|milestone| milestone.reached >= Some(*until)).await.ok();
                let instance = found.map(|found| found.instance.clone()).unwrap_or_default();
                instances.insert(self.names[*other].clone(), instance);
            }
            instances
        };
        tokio::select! {
            biased;
            () = self.failed.cancelled() => None,
            instances = all => Some(instances),
        }
    }

    /// The names of those that were not started, because one failed that they come after, directly or not; in the order of
    /// their places.
    pub fn held_back_by(&self, failed: usize) -> Vec<String> {
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); self.names.len()];
        for (place, before) in self.before.iter().enumerate() {
            for (other, _) in before {
                followers[*other].push(place);
            }
        }
        let mut is_held = vec![false; self.names.len()];
        let mut open = vec![failed];
        while let Some(place) = open.pop() {
            for follower in &followers[place] {
                let is_begun = self.reached[*follower].borrow().reached.is_some();
                if !is_begun && !std::mem::replace(&mut is_held[*follower], true) {
                    open.push(*follower);
                }
            }
        }
        let held = (0..self.names.len()).filter(|place| is_held[*place]);
        held.map(|place| self.names[place].clone()).collect()
    }
}
