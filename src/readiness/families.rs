//! Both addresses of an instance on a network that has IPv4 and IPv6: a server may listen at one of them only.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::engine::dialler::{ByteStream, DialError, Dialler};

/// Ports at IPv4 addresses whose instances were seen to accept at their IPv6 address instead.
#[derive(Clone, Debug, Default)]
pub struct ByIpv6(Arc<Mutex<BTreeSet<SocketAddr>>>);

impl ByIpv6 {
    /// Whether an instance with this IPv4 address accepts at its IPv6 address only at this port, as far as it was dialled.
    #[must_use]
    pub fn has(&self, place: SocketAddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn note(&self, place: SocketAddr, accepts: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = if accepts { all.insert(place) } else { all.remove(&place) };
    }
}

/// Dials the IPv6 address of an instance if its IPv4 address refuses.
pub struct BothFamilies {
    /// Makes the connections.
    pub dialler: Arc<dyn Dialler>,
    /// The IPv4 address.
    pub first: IpAddr,
    /// The IPv6 address.
    pub second: IpAddr,
    /// Where it is noted which of them accepts.
    pub by_ipv6: ByIpv6,
}

#[async_trait]
impl Dialler for BothFamilies {
    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let connected = self.dialler.connect(address, timeout).await;
        if address.ip() != self.first {
            return connected;
        }
        if !matches!(connected, Err(DialError::Refused)) {
            if connected.is_ok() {
                self.by_ipv6.note(address, false);
            }
            return connected;
        }
        let second = SocketAddr::new(self.second, address.port());
        let stream = self.dialler.connect(second, timeout).await.map_err(|_| DialError::Refused)?;
        self.by_ipv6.note(address, true);
        Ok(stream)
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
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::dialler::Direct;

    #[tokio::test]
    async fn the_second_address_is_dialled_only_if_the_first_refuses() {
        let (first, second) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let by_ipv6 = ByIpv6::default();
        let both = BothFamilies { dialler: Arc::new(Direct), first, second, by_ipv6: by_ipv6.clone() };
        let dial = async |port: u16| {
            let connected = both.connect((first, port).into(), Duration::from_secs(10)).await;
            connected.map(|_| by_ipv6.has((first, port).into())).map_err(|error| error == DialError::Refused)
        };
        let listener = TcpListener::bind((second, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(dial(port).await, Ok(true), "it listens at the second one");
        drop(listener);
        assert_eq!(dial(port).await, Err(true), "it listens at neither");
        let _listener = TcpListener::bind((first, port)).await.expect("the port is still free");
        assert_eq!(dial(port).await, Ok(false), "it listens at the first one");
        let other = TcpListener::bind((second, 0)).await.expect("a port");
        let other_port = other.local_addr().expect("an address").port();
        assert_eq!(
            (dial(other_port).await, by_ipv6.has((first, port).into())),
            (Ok(true), false),
            "each port is its own"
        );
    }
}
