//! The network of a scenario: dials that end as it says, and handshakes over their connections.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::conversation::{Conversation, PlayedStream};
use super::differences::Differences;
use crate::definition::grants::DialGrant;
use crate::definition::scenario::{Dial, Outcome, Poll, Scenario};
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::probe::context::Targets;
use crate::probe::tls::{Failure, Handshakes, Secured};

/// Addresses for documentation: nothing is ever sent there.
const NETWORK: [u8; 3] = [192, 0, 2];

/// A place as a probe dials it.
type Place = (String, u16);

/// The network of one poll. Clones share it.
#[derive(Clone)]
pub struct Network {
    places: Arc<BTreeMap<SocketAddr, Place>>,
    state: Arc<Mutex<State>>,
    differences: Differences,
}

#[derive(Default)]
struct State {
    dials: BTreeMap<Place, VecDeque<Dial>>,
    open: Vec<Conversation>,
    /// How many dials there were to each place.
    counts: BTreeMap<Place, usize>,
}

impl Network {
    /// The network of a poll that may dial these places, and the addresses that they have there.
    #[must_use]
    pub fn of(
        scenario: &Scenario,
        granted: &[DialGrant],
        poll: &Poll,
        differences: &Differences,
    ) -> (Self, Targets) {
        let mut dials: BTreeMap<Place, VecDeque<Dial>> = BTreeMap::new();
        for dial in &poll.dials {
            if let Some(place) = place(scenario, &dial.to) {
                dials.entry(place).or_default().push_back(dial.clone());
            }
        }
        let (mut places, mut targets) = (BTreeMap::new(), Targets::default());
        for (number, granted) in granted.iter().filter_map(|granted| place(scenario, granted)).enumerate() {
            let has_no_address = dials.get(&granted).and_then(VecDeque::front).is_some_and(is_unresolved);
            let [first, second, third] = NETWORK;
            let last = u8::try_from(number % 254).unwrap_or_default() + 1;
            let address = SocketAddr::from((Ipv4Addr::new(first, second, third, last), granted.1));
            places.insert(address, granted.clone());
            targets.0.insert(granted, (!has_no_address).then_some(address));
        }
        // A dial to a place without an address never comes here.
        for dials in dials.values_mut() {
            dials.retain(|dial| !is_unresolved(dial));
        }
        let state = State { dials, ..State::default() };
        let network = Self {
            places: Arc::new(places),
            state: Arc::new(Mutex::new(state)),
            differences: differences.clone(),
        };
        (network, targets)
    }

    /// Reports, when the poll is over, what the probe left out.
    pub fn end(&self) {
        let state = self.state();
        state.open.iter().for_each(Conversation::end);
        for (place, dials) in &state.dials {
            if !dials.is_empty() {
                let made = state.counts.get(place).copied().unwrap_or_default();
                let wanted = made + dials.len();
                let times =
                    |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
                let made = if made == 0 {
                    "did not dial it".to_owned()
                } else {
                    format!("dialled it {}", times(made))
                };
                let what =
                    format!("expected the probe to dial {} {}, but it {made}", shown(place), times(wanted));
                self.differences.add(what);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next dial to a place meets, and how a report names its connection.
    fn next(&self, address: SocketAddr) -> Option<(Dial, String)> {
        let place = self.places.get(&address)?;
        let mut state = self.state();
        let count = state.counts.entry(place.clone()).or_default();
        *count += 1;
        let name = format!("connection {count} to {}", shown(place));
        let dial = state.dials.get_mut(place).and_then(VecDeque::pop_front);
        if dial.is_none() {
            self.differences
                .add(format!("the probe dialled {} once more than the scenario says", shown(place)));
        }
        dial.map(|dial| (dial, name))
    }
}

fn is_unresolved(dial: &Dial) -> bool {
    dial.outcome == Outcome::Unresolved
}

fn shown((host, port): &Place) -> String {
    format!("{host}:{port}")
}

/// Where that is; `None` if the sidecar has no port.
fn place(scenario: &Scenario, grant: &DialGrant) -> Option<Place> {
    match grant {
        DialGrant::This(port) => Some((scenario.sidecar.clone(), port.or(scenario.port)?)),
        DialGrant::Sidecar { name, port } => Some((name.clone(), *port)),
    }
}

#[async_trait]
impl Dialler for Network {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let Some((Dial { takes, outcome, .. }, name)) = self.next(address) else {
            return Err(DialError::Other("the scenario says nothing of this dial".to_owned()));
        };
        let is_late = takes > timeout || outcome == Outcome::TimedOut;
        let pause = if is_late { timeout } else { takes };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        match outcome {
            _ if is_late => Err(DialError::TimedOut),
            Outcome::Connected(steps) => {
                let conversation = Conversation::new(name, &steps, self.differences.clone());
                let stream = conversation.stream();
                self.state().open.push(conversation);
                Ok(Box::new(stream))
            }
            Outcome::Refused => Err(DialError::Refused),
            Outcome::Fails(reason) => Err(DialError::Other(reason)),
            Outcome::TimedOut | Outcome::Unresolved => Err(DialError::TimedOut),
        }
    }
}

/// Handshakes that end as a scenario says; nothing is encrypted.
pub struct PlayedHandshakes;

#[async_trait]
impl Handshakes for PlayedHandshakes {
    async fn shake_hands(
        &self,
        stream: Box<dyn ByteStream>,
        server_name: &str,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Secured, Failure> {
        let conversation = {
            let stream: Box<dyn Any> = stream;
            stream.downcast::<PlayedStream>().ok().map(|stream| stream.conversation)
        };
        let Some(conversation) = conversation else {
            return Err(Failure::Other("the connection is not the scenario's".to_owned()));
        };
        let offered: Vec<String> =
            protocols.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        while let Some(at) = conversation.pause() {
            tokio::time::sleep_until(at.into()).await;
        }
        match conversation.shake_hands(server_name, &offered) {
            Some(Ok(protocol)) => Ok(Secured { stream: Box::new(conversation.stream()), protocol }),
            Some(Err(failure)) => Err(failure),
            // Until the limit around the handshake ends it.
            None => std::future::pending().await,
        }
    }
}
