//! How probes reach containers: straight from this host where that is proven to be right, else by a relay.

use std::sync::{Arc, Mutex as Shared, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::families::{BothFamilies, ByIpv6};
use crate::engine::dialler::{Dialler, Direct, Sockets};
use crate::engine::{Engine, EngineResult, RelayImages};
use crate::event::{Event, Reporter};
use crate::plan::instance::Instance;
use crate::report::error::{Code, Problem};

const NAME_AN_IMAGE: &str = "With `--probe-image`, name an image that contains python3, nc or bash.";
const LEAVE_RELAYS: &str =
    "Do not remove containers named `farrier-relay-…`: farrier removes them when the launch ends.";
/// How many relays of one launch are replaced when they ended. Somebody who tidies up removes one or two; one that
/// ends by itself would end each time.
const REPLACED: usize = 3;
/// How long a relay that nobody needs any more may take to start and end.
const GIVING_UP: Duration = Duration::from_secs(2);

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
    /// Images that a relay may be made from.
    pub images: RelayImages,
    /// Whether a probe dials.
    pub is_dialled: bool,
    /// The decision, once there is one.
    pub decided: Mutex<Option<Decided>>,
    /// A relay that was begun before the decision.
    pub begun: Shared<Option<Begun>>,
    /// Which instances listen at their IPv6 address only.
    pub by_ipv6: ByIpv6,
}

/// A relay that is being started, or why there is none. It ends with the route.
pub type Begun = AbortOnDropHandle<EngineResult<Result<Arc<dyn Dialler>, String>>>;

/// What starting a relay takes.
struct Starting {
    engine: Arc<dyn Engine>,
    network: String,
    images: RelayImages,
}

impl Starting {
    /// Starts one, unless one that was begun before has started and still runs.
    async fn after(self, begun: Option<Begun>) -> EngineResult<Result<Arc<dyn Dialler>, String>> {
        if let Some(begun) = begun
            && let Ok(Ok(Ok(dialler))) = begun.await
            && !dialler.has_ended()
        {
            return Ok(Ok(dialler));
        }
        self.engine.relay(&self.network, &self.images).await
    }
}

/// How containers are reached.
pub struct Decided {
    dialler: Option<Arc<dyn Dialler>>,
    /// Relays that ended, and were replaced or could not be.
    ended: usize,
}

impl Route {
    /// Begins a relay, if it is known already that the probes need one: it starts while the containers do. One that is begun
    /// already goes on, unless it fails.
    pub fn begin(&self) {
        let is_chosen = self.choice != Dialling::None;
        if !self.is_dialled || !is_chosen || !self.engine.is_away(&self.network) {
            return;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, starting) = (begun.take(), self.starting());
        // The network may not have been there.
        *begun = Some(AbortOnDropHandle::new(tokio::spawn(async move { starting.after(before).await })));
    }

    /// Ends the relay of a launch that fails: it would keep the network.
    pub async fn give_up(&self) {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = async {
            if let Some(begun) = begun
                && let Ok(Ok(Ok(dialler))) = begun.await
            {
                dialler.end().await;
            }
            let decided = self.decided.lock().await.take();
            if let Some(dialler) = decided.and_then(|decided| decided.dialler) {
                dialler.end().await;
            }
        };
        let _ = tokio::time::timeout(GIVING_UP, ended).await;
    }

    fn starting(&self) -> Starting {
        let (engine, network) = (Arc::clone(&self.engine), self.network.clone());
        Starting { engine, network, images: self.images.clone() }
    }

    /// The way to this container; none where there is none, which is said once. A relay that ended is replaced.
    ///
    /// # Errors
    /// When the engine does not answer: that decides nothing, and may be asked again.
    pub async fn dialler(&self, instance: &Instance) -> EngineResult<Option<Arc<dyn Dialler>>> {
        let dialler = self.one_family(instance).await?;
        let addresses = instance.told_address(&self.network).zip(instance.ipv6(&self.network));
        Ok(match (dialler, addresses) {
            (Some(dialler), Some((first, second))) => {
                let by_ipv6 = self.by_ipv6.clone();
                Some(Arc::new(BothFamilies { dialler, first, second, by_ipv6 }))
            }
            (dialler, _) => dialler,
        })
    }

    /// The instance at the address where it was seen to accept connections to this port.
    #[must_use]
    pub fn as_reached(&self, mut instance: Instance, port: Option<u16>) -> Instance {
        if let Some(endpoint) = instance.networks.get_mut(&self.network) {
            let place = endpoint.address.zip(port);
            endpoint.is_reached_by_ipv6 = place.is_some_and(|place| self.by_ipv6.has(place.into()));
        }
        instance
    }

    async fn one_family(&self, instance: &Instance) -> EngineResult<Option<Arc<dyn Dialler>>> {
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

    /// Whether sockets that a guest opens itself lead to this container: only where dials go straight to it, and to one address.
    #[must_use]
    pub fn sockets(&self, instance: &Instance) -> Sockets {
        let has_one = instance.ipv6(&self.network).is_none();
        let direct = self.choice == Dialling::Auto && has_one && self.is_direct(instance);
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
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.starting().after(begun).await
    }

    fn warn_of_end(&self, why_none: Option<&str>) {
        let then = why_none.map_or_else(
            || "farrier dials through a new relay".to_owned(),
            |reason| format!("farrier cannot start a new relay: {reason}"),
        );
        let message = format!("the relay container ended, or the connection to it broke; {then}");
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
