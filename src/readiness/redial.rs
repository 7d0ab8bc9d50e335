//! farrier's own dials while nothing listens: they cost less than polls, so that they come more often.
//!
//! After a poll that did nothing but dial, and was refused each time, the next one could only be refused as well until
//! somebody listens. So farrier dials the same places itself, and runs the guest once somebody accepts. The guest's first
//! connect to that place gets this very connection: a server that serves one connection, or counts those that say nothing,
//! sees no other than before.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::schedule::{Redials, is_short};
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::system::timer::Timer;

/// How long one dial may take, as one of a guest's.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that is older is closed: the server may have ended it, or had a reason to.
const FRESH: Duration = Duration::from_millis(250);

/// A connection that farrier made, for a guest's first connect to its place.
pub struct Opened {
    place: SocketAddr,
    stream: Box<dyn ByteStream>,
    at: Instant,
}

/// Dials these places until one accepts, where so many sidecars are waited for.
pub async fn redial(
    dialler: &dyn Dialler,
    places: &BTreeSet<SocketAddr>,
    waiting: impl Fn() -> usize,
) -> Opened {
    let mut redials = Redials::default();
    let mut exact = None;
    loop {
        let pause = redials.pause(waiting());
        if is_short(pause) {
            exact.get_or_insert_with(Timer::exact).sleep(pause).await;
        } else {
            tokio::time::sleep(pause).await;
        }
        let begun = Instant::now();
        for place in places {
            // What is neither accepted nor refused is for the guest to tell, at its next poll.
            if let Ok(stream) = dialler.connect(*place, DIAL_TIMEOUT).await {
                return Opened { place: *place, stream, at: Instant::now() };
            }
        }
        redials.note(begun.elapsed());
    }
}

impl Opened {
    /// A dialler that gives this connection to the first who dials its place, and otherwise dials as the other one.
    #[must_use]
    pub fn before(self, dialler: Arc<dyn Dialler>) -> Arc<dyn Dialler> {
        Arc::new(HandingOver { opened: Mutex::new(Some(self)), dialler })
    }
}

struct HandingOver {
    opened: Mutex<Option<Opened>>,
    dialler: Arc<dyn Dialler>,
}

#[async_trait]
impl Dialler for HandingOver {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let opened = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.take_if(|opened| opened.place == address)
        };
        match opened.filter(|opened| opened.at.elapsed() <= FRESH) {
            Some(opened) => Ok(opened.stream),
            None => self.dialler.connect(address, timeout).await,
        }
    }

    fn is_direct(&self) -> bool {
        self.dialler.is_direct()
    }

    fn has_ended(&self) -> bool {
        self.dialler.has_ended()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::dialler::Direct;

    const LOCAL: (&str, u16) = ("127.0.0.1", 0);

    /// A place where nothing listens yet.
    async fn closed() -> SocketAddr {
        let listener = TcpListener::bind(LOCAL).await.expect("a port");
        listener.local_addr().expect("an address")
    }

    #[tokio::test]
    async fn it_dials_until_one_place_accepts_and_the_guest_gets_that_connection() {
        let (never, later) = (closed().await, closed().await);
        let places = BTreeSet::from([never, later]);
        let listening = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            TcpListener::bind(later).await.expect("the port is free")
        };
        let (opened, listener) = tokio::join!(redial(&Direct, &places, || 1), listening);
        assert_eq!(opened.place, later);
        let dialler = opened.before(Arc::new(Direct));
        assert!(dialler.is_direct());
        let (mut server, _) = listener.accept().await.expect("farrier's connection");
        let second = DIAL_TIMEOUT;
        assert!(dialler.connect(never, second).await.is_err(), "another place is dialled");
        let mut first = dialler.connect(later, second).await.expect("farrier's connection");
        tokio::io::AsyncWriteExt::write_all(&mut first, b"x").await.expect("it is open");
        assert_eq!(server.read_u8().await.expect("a byte"), b'x');
        let further = tokio::join!(dialler.connect(later, second), listener.accept());
        assert!(further.0.is_ok() && further.1.is_ok(), "the next one is a connection of its own");
    }

    #[tokio::test]
    async fn a_connection_that_is_not_fresh_is_not_handed_over() {
        let listener = TcpListener::bind(LOCAL).await.expect("a port");
        let place = listener.local_addr().expect("an address");
        let stream = Direct.connect(place, DIAL_TIMEOUT).await.expect("it accepts");
        let at = Instant::now().checked_sub(FRESH * 2).expect("a time");
        let (mut old, _) = listener.accept().await.expect("the old connection");
        let dialler = Opened { place, stream, at }.before(Arc::new(Direct));
        let (connected, accepted) = tokio::join!(dialler.connect(place, DIAL_TIMEOUT), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        assert_eq!(old.read(&mut [0]).await.expect("its end"), 0, "the old one is closed");
    }
}
