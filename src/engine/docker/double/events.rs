//! Events: kept for whoever asks from a moment on, and sent to whoever listens.

use std::collections::BTreeMap;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::world::{World, carries};
use crate::engine::docker::api::{CreatedContainer, EngineEvent};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

type Item = EngineResult<EngineEvent>;

#[derive(Default)]
pub(super) struct Events {
    past: Vec<(EngineEvent, BTreeMap<String, String>)>,
    listeners: Vec<(String, UnboundedSender<Item>)>,
    held: bool,
    waiting: Vec<(EngineEvent, BTreeMap<String, String>)>,
}

impl Events {
    fn send(&mut self, event: &EngineEvent, labels: &BTreeMap<String, String>) {
        self.listeners.retain(|(label, listener)| {
            if carries(labels, label) { listener.send(Ok(event.clone())).is_ok() } else { true }
        });
    }
}

impl World {
    pub(super) fn emit(&mut self, container: &str, action: &str) {
        let time = self.now();
        let Some(kept) = self.containers.get(container) else { return };
        let labels = kept.container.labels.clone();
        let event = EngineEvent { container: container.to_owned(), action: action.to_owned(), time };
        if self.events.held {
            self.events.waiting.push((event, labels));
            return;
        }
        self.events.send(&event, &labels);
        self.events.past.push((event, labels));
    }

    /// Events of containers with this label since a moment, and from then on.
    pub(super) fn subscribe(&mut self, label: &str, since: &str) -> UnboundedReceiver<Item> {
        let (sender, receiver) = unbounded_channel();
        let since = nanoseconds(since);
        for (event, labels) in &self.events.past {
            if event.time >= since && carries(labels, label) {
                let _ = sender.send(Ok(event.clone()));
            }
        }
        self.events.listeners.push((label.to_owned(), sender));
        receiver
    }

    /// The containers that are there and were created between two moments.
    pub(super) fn created(&self, since: &str, until: &str) -> Vec<CreatedContainer> {
        let period = nanoseconds(since)..=nanoseconds(until);
        let kept = self.containers.values().filter(|kept| period.contains(&kept.created));
        kept.map(|kept| CreatedContainer {
            name: kept.container.name.clone(),
            image: kept.reference.clone(),
            labels: kept.container.labels.clone(),
            networks: kept.container.networks.keys().filter(|_| kept.starts > 0).cloned().collect(),
        })
        .collect()
    }

    /// Breaks the stream of everybody who listens: with an error, or by ending it.
    pub fn break_events(&mut self, with_error: bool) {
        for (_, listener) in self.events.listeners.drain(..) {
            if with_error {
                let error = EngineError::new(EngineErrorKind::Unreachable, "the event stream broke");
                let _ = listener.send(Err(error));
            }
        }
    }

    /// Tells everybody who listens this, whether it happened or not.
    pub fn tell(&mut self, event: &EngineEvent) {
        self.events.listeners.retain(|(_, listener)| listener.send(Ok(event.clone())).is_ok());
    }

    /// Keeps events back until they are let go.
    pub fn hold_events(&mut self, held: bool) {
        self.events.held = held;
        if !held {
            for (event, labels) in std::mem::take(&mut self.events.waiting) {
                self.events.send(&event, &labels);
                self.events.past.push((event, labels));
            }
        }
    }
}

/// Seconds and nanoseconds as one number; what cannot be read is the beginning of time.
fn nanoseconds(text: &str) -> i64 {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = seconds.parse().unwrap_or(0);
    let fraction: i64 =
        format!("{fraction:0<9}").get(..9).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(fraction)
}
