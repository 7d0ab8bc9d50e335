//! How probes reach containers: straight from this host where that is proven to be right, else by a relay.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::engine::dialler::Sockets;
use crate::engine::dialler::{Dialler, Direct};
use crate::engine::{Engine, EngineResult};
use crate::event::{Event, Reporter};
use crate::plan::instance::Instance;
use crate::report::error::{Code, Problem};

const NAME_AN_IMAGE: &str = "With `--probe-image`, name an image that contains python3, nc or bash.";
const LEAVE_RELAYS: &str =
    "Do not remove containers named `farrier-relay-…`: farrier removes them when the launch ends.";
/// How many relays of one launch are replaced when they ended. Somebody who tidies up removes one or two; one that
/// ends by itself would end each time.
const REPLACED: usize = 3;

/// How probes reach a sidecar's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialling {
    /// From this host where it has a route, else through a relay container.
    #[default]
    Auto,
    /// Through a relay container.
    Relay,
    /// Not at all: that the container runs is the check.
    None,
}

/// The way to the containers of one launch, decided at the first dial.
pub struct Route {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where the warning goes.
    pub reporter: Arc<Reporter>,
    /// What the user chose.
    pub choice: Dialling,
    /// The network that harness and sidecars meet on.
    pub network: String,
    /// Images that a relay may be made from, the preferred one first.
    pub images: Vec<String>,
    /// The decision, once there is one.
    pub decided: Mutex<Option<Decided>>,
}

/// How containers are reached.
pub struct Decided {
    dialler: Option<Arc<dyn Dialler>>,
    /// Relays that ended, and were replaced or could not be.
    ended: usize,
}

impl Route {
    /// The way to this container; none where there is none, which is said once. A relay that ended is replaced.
    ///
    /// # Errors
    /// When the engine does not answer: that decides nothing, and may be asked again.
    pub async fn dialler(&self, instance: &Instance) -> EngineResult<Option<Arc<dyn Dialler>>> {
        let mut decided = self.decided.lock().await;
        if let Some(found) = decided.as_mut() {
            if found.dialler.as_ref().is_some_and(|dialler| dialler.has_ended()) && found.ended < REPLACED {
                let relay = self.relay().await?;
                found.ended += 1;
                self.warn_of_end(relay.as_ref().err().map(String::as_str));
                found.dialler = relay.ok().or(found.dialler.take());
            }
            return Ok(found.dialler.clone());
        }
        let dialler = self.decide(instance).await?;
        *decided = Some(Decided { dialler: dialler.clone(), ended: 0 });
        Ok(dialler)
    }

    /// Whether sockets that a guest opens itself lead to this container: only where dials go straight to it.
    #[must_use]
    pub fn sockets(&self, instance: &Instance) -> Sockets {
        let direct = self.choice == Dialling::Auto && self.is_direct(instance);
        if direct { Sockets::Direct } else { Sockets::Relayed }
    }

    async fn decide(&self, instance: &Instance) -> EngineResult<Option<Arc<dyn Dialler>>> {
        match self.choice {
            Dialling::Auto if self.is_direct(instance) => return Ok(Some(Arc::new(Direct))),
            Dialling::Auto | Dialling::Relay => {}
            Dialling::None => {
                self.warn("dialling is switched off", "To dial ports, omit `--dial none`.");
                return Ok(None);
            }
        }
        match self.relay().await? {
            Ok(dialler) => Ok(Some(dialler)),
            Err(reason) => {
                self.warn(&reason, NAME_AN_IMAGE);
                Ok(None)
            }
        }
    }

    /// A relay, or why there can be none.
    async fn relay(&self) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        self.engine.relay(&self.network, &self.images).await
    }

    fn warn_of_end(&self, why_none: Option<&str>) {
        let then = why_none.map_or_else(
            || "farrier dials through a new relay".to_owned(),
            |reason| format!("farrier cannot start a new relay: {reason}"),
        );
        let message = format!("the relay container was removed or ended; {then}");
        let problem = Problem::warning(Code::RelayEnded, message).hint(LEAVE_RELAYS);
        self.reporter.tell(&Event::Problem(&problem));
    }

    fn warn(&self, reason: &str, hint: &str) {
        let message = format!(
            "farrier does not dial sidecars, so it cannot tell whether their ports are open: {reason}"
        );
        let problem = Problem::warning(Code::CannotDial, message).hint(hint);
        self.reporter.tell(&Event::Problem(&problem));
    }

    /// Whether this host certainly reaches the instance's own address.
    #[must_use]
    pub fn is_direct(&self, instance: &Instance) -> bool {
        self.engine.is_direct(instance, &self.network)
    }
}
