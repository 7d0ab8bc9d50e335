//! What goes over a connection, as the steps of a scenario, and TLS that is recorded from the inside.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::recorder::Counted;
use crate::definition::scenario::{Pattern, Step, TlsFailure};
use crate::engine::dialler::ByteStream;
use crate::probe::tls::{Failure, Handshakes, Secured};

/// A shorter time is not recorded: it says more about this machine than about the server.
const SHORTEST: Duration = Duration::from_millis(5);

/// A time in whole milliseconds; none if it is not worth a word.
#[must_use]
pub fn brief(time: Duration) -> Duration {
    if time < SHORTEST {
        return Duration::ZERO;
    }
    Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The steps of one connection so far.
#[derive(Debug)]
pub struct Script {
    steps: Vec<Step>,
    /// When the last step was.
    at: Instant,
}

impl Script {
    /// A connection that was just made.
    pub fn begin() -> Self {
        Self { steps: Vec::new(), at: Instant::now() }
    }

    /// How many there are.
    pub const fn length(&self) -> usize {
        self.steps.len()
    }

    /// All of them. If the server did not end the stream, it said nothing more.
    pub fn steps(mut self, ended: bool) -> Vec<Step> {
        if !ended && !matches!(self.steps.last(), Some(Step::Breaks | Step::FailsTls(..))) {
            self.steps.push(Step::Stalls);
        }
        self.steps
    }

    /// The server was silent until now.
    fn wait(&mut self) -> Duration {
        let silent = brief(self.at.elapsed());
        self.at = Instant::now();
        if !silent.is_zero() {
            self.steps.push(Step::Waits(silent));
        }
        silent
    }

    /// The server sent this; nothing is the end of the stream.
    pub fn receive(&mut self, bytes: &[u8]) {
        let silent = self.wait();
        if bytes.is_empty() {
            return;
        }
        match self.steps.last_mut() {
            Some(Step::Sends(sent)) if silent.is_zero() => sent.extend_from_slice(bytes),
            _ => self.steps.push(Step::Sends(bytes.to_vec())),
        }
    }

    /// The probe sent this.
    pub fn send(&mut self, bytes: &[u8]) {
        self.at = Instant::now();
        match self.steps.last_mut() {
            Some(Step::Expects(Pattern::Bytes(sent))) => sent.extend_from_slice(bytes),
            _ => self.steps.push(Step::Expects(Pattern::Bytes(bytes.to_vec()))),
        }
    }

    /// The connection broke.
    pub fn breaks(&mut self) {
        self.wait();
        self.steps.push(Step::Breaks);
    }

    fn shakes_hands(&mut self, step: Step) {
        self.at = Instant::now();
        self.steps.push(step);
    }
}

/// Shakes hands as the other does, and records what is said inside TLS instead of the encrypted bytes.
pub struct RecordedHandshakes(pub Arc<dyn Handshakes>);

#[async_trait]
impl Handshakes for RecordedHandshakes {
    async fn shake_hands(
        &self,
        stream: Box<dyn ByteStream>,
        server_name: &str,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Secured, Failure> {
        let counted = {
            let stream: Box<dyn Any> = stream;
            stream.downcast::<Counted>().ok().map(|counted| *counted)
        };
        let Some(Counted { stream, recorder, index }) = counted else {
            return Err(Failure::Other("the connection is not recorded".to_owned()));
        };
        let offered = protocols.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let shaken = self.0.shake_hands(stream, server_name, protocols).await;
        let step = match &shaken {
            Ok(secured) => Step::ShakesHands {
                server_name: Some(server_name.to_owned()),
                protocols: Some(offered),
                protocol: secured.protocol.clone(),
            },
            Err(failure) => failed(failure),
        };
        let (stream, protocol) = match shaken {
            Ok(Secured { stream, protocol }) => (Ok(stream), protocol),
            Err(failure) => (Err(failure), None),
        };
        recorder.script(index, 0, |script| script.shakes_hands(step));
        let counted = Counted { stream: stream?, recorder, index };
        Ok(Secured { stream: Box::new(counted), protocol })
    }
}

fn failed(failure: &Failure) -> Step {
    let (kind, reason) = match failure {
        Failure::Closed => (TlsFailure::Closed, ""),
        Failure::Other(reason) => (TlsFailure::Other, reason.as_str()),
        Failure::NotTls(reason) => (TlsFailure::NotTls, reason.as_str()),
        Failure::Untrusted(reason) => (TlsFailure::Untrusted, reason.as_str()),
        Failure::Expired(reason) => (TlsFailure::Expired, reason.as_str()),
        Failure::WrongName(reason) => (TlsFailure::WrongName, reason.as_str()),
        Failure::Handshake(reason) => (TlsFailure::Handshake, reason.as_str()),
    };
    Step::FailsTls(kind, reason.to_owned())
}
