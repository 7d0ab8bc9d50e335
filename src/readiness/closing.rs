//! The look after success, one for all containers that nothing was changed at: the network tells who is on it, by
//! connections that are other ones after each start. So one answer says of each whether its run still goes on, at
//! the same address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::{Container, Engine, Member};

/// How long one that is ready waits for others to look together with; their first answers come in milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who will look together, and who waits for it.
#[derive(Debug, Default)]
struct Party {
    expected: usize,
    waiting: Vec<oneshot::Sender<Arc<Vec<Member>>>>,
}

/// The look that is shared.
#[derive(Debug, Default)]
pub struct Closing(Arc<Mutex<Party>>);

/// A place in the shared look; without it, or after dropping it, one looks alone.
#[derive(Debug)]
pub struct Place(Arc<Mutex<Party>>);

impl Closing {
    /// Keeps a place: the look waits for it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).expected += 1;
        Place(Arc::clone(&self.0))
    }
}

/// Whoever leaves is not waited for any more. Where only waiting ones are left, one of them is to look.
impl Drop for Place {
    fn drop(&mut self) {
        let mut party = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        party.expected -= 1;
        party.waiting.retain(|waiting| !waiting.is_closed());
        if party.waiting.len() >= party.expected {
            party.waiting.pop();
        }
    }
}

impl Place {
    /// Whether the network tells that the run of the container that was seen goes on where it was. False also
    /// where it does not tell.
    pub async fn still_runs(self, engine: &dyn Engine, network: &str, seen: &Container) -> bool {
        let Some(endpoint) = seen.networks.get(network).filter(|endpoint| !endpoint.id.is_empty()) else {
            return false;
        };
        let Some(members) = self.members(engine, network).await else { return false };
        members.iter().any(|member| {
            member.container == seen.id
                && member.endpoint == endpoint.id
                && member.address == endpoint.address
        })
    }

    async fn members(&self, engine: &dyn Engine, network: &str) -> Option<Arc<Vec<Member>>> {
        while let Some(answer) = self.wait_for_others() {
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(members)) => return Some(members),
                // Whoever was to look has left.
                Ok(Err(_)) => {}
                Err(_) => return None,
            }
        }
        let (_, members) = engine.inhabited(network).await.ok()?;
        let members = Arc::new(members);
        let waiting = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting);
        for waiting in waiting {
            let _ = waiting.send(Arc::clone(&members));
        }
        Some(members)
    }

    /// None for the last one, who looks for all.
    fn wait_for_others(&self) -> Option<oneshot::Receiver<Arc<Vec<Member>>>> {
        let mut party = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        party.waiting.retain(|waiting| !waiting.is_closed());
        if party.waiting.len() + 1 >= party.expected {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        party.waiting.push(sender);
        Some(receiver)
    }
}
