//! Requests over HTTP and HTTPS, through the proxies that the environment names. Redirections are followed, without
//! credentials if they lead to another host, and never to a host that only this machine reaches.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, vec};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioExecutor;
use tower_service::Service;

use super::configuration::{RegistryConfiguration, address_of, is_of_this_host};
use super::error::{ForbiddenAddress, RegistryError, RegistryErrorKind};
use super::roots;
use crate::system::blocking::blocking;

/// How long a host may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(20);
/// How long it may take to begin its answer.
const ANSWERING: Duration = Duration::from_secs(60);
/// Bytes that a slow connection sends in a second.
const SLOWEST: u64 = 64 << 10;
/// How many redirections are followed.
const MOST_REDIRECTIONS: usize = 5;

/// Connects to a host, by whatever addresses it has.
type Connector = HttpConnector<Resolver>;

/// A client for one host, straight or through a proxy.
#[derive(Clone)]
enum Client {
    Direct(legacy::Client<HttpsConnector<Connector>, Full<Bytes>>),
    Tunnelled(legacy::Client<HttpsConnector<Tunnel<Connector>>, Full<Bytes>>),
}

/// Who answered a request, after all redirections; an extension of the answer.
#[derive(Clone)]
pub(super) struct FinalUri(pub Uri);

/// Makes requests.
pub struct Http {
    configuration: RegistryConfiguration,
    /// The hosts that the user's files name. Every other host is one that a registry named.
    homes: Vec<String>,
    proxies: Matcher,
    /// By scheme and host: each host has certificates of its own.
    clients: Mutex<BTreeMap<String, Client>>,
}

impl Http {
    /// With these certificates, for registries at these hosts.
    #[must_use]
    pub fn new(configuration: RegistryConfiguration, homes: Vec<String>) -> Self {
        Self { configuration, homes, proxies: Matcher::from_env(), clients: Mutex::default() }
    }

    /// Gets what is at an address.
    ///
    /// # Errors
    /// If the host does not answer.
    pub async fn get(&self, address: &str, headers: &HeaderMap) -> Result<Response<Incoming>, RegistryError> {
        self.send(&Method::GET, address, headers, Bytes::new()).await
    }

    /// Sends a request. Only those without a body are redirected. The answer names its [`FinalUri`].
    ///
    /// # Errors
    /// If the host does not answer.
    pub async fn send(
        &self,
        method: &Method,
        address: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut headers = headers.clone();
        let mut address = parsed(address)?;
        for _ in 0..=MOST_REDIRECTIONS {
            let mut answer = self.once(method, &address, &headers, body.clone()).await?;
            let status = answer.status();
            let location = answer.headers().get(LOCATION).filter(|_| is_redirection(status));
            let Some(location) = location.filter(|_| method == Method::GET) else {
                answer.extensions_mut().insert(FinalUri(address));
                return Ok(answer);
            };
            let location = location.to_str().ok();
            let next = location.and_then(|location| redirected(&address, location)).ok_or_else(|| {
                let message =
                    format!("{} redirects to an address that farrier does not follow", host_of(&address));
                RegistryError::invalid(message)
            })?;
            if (next.scheme(), next.authority()) != (address.scheme(), address.authority()) {
                headers.remove(AUTHORIZATION);
            }
            address = next;
        }
        Err(RegistryError::invalid(format!("{} redirects again and again", host_of(&address))))
    }

    async fn once(
        &self,
        method: &Method,
        address: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let host = host_of(address);
        let client = self.client(address).await?;
        let limit = ANSWERING + Duration::from_secs(body.len() as u64 / SLOWEST);
        let mut request = Request::builder().method(method).uri(address);
        if let Some(all) = request.headers_mut() {
            all.clone_from(headers);
            let agent = concat!("farrier/", env!("CARGO_PKG_VERSION"));
            all.insert(USER_AGENT, hyper::header::HeaderValue::from_static(agent));
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| RegistryError::invalid(format!("{address} cannot be requested: {error}")))?;
        let answer = match client {
            Client::Direct(client) => client.request(request),
            Client::Tunnelled(client) => client.request(request),
        };
        let Ok(answer) = tokio::time::timeout(limit, answer).await else {
            let message = format!("the registry at {host} does not answer within {} s", limit.as_secs());
            return Err(RegistryError::new(RegistryErrorKind::Unreachable, message));
        };
        answer.map_err(|error| RegistryError::of_connection(&host, &error))
    }

    async fn client(&self, address: &Uri) -> Result<Client, RegistryError> {
        let (scheme, host) = (address.scheme_str().unwrap_or_default(), host_of(address));
        let origin = format!("{scheme}://{host}");
        let known = |clients: &BTreeMap<String, Client>| clients.get(&origin).cloned();
        if let Some(client) = known(&self.clients.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let config = if scheme == "https" {
            let certificates = self.configuration.certificates(&host);
            let read = blocking("certificates", move || roots::tls(&certificates)).await;
            Some(read.map_err(|error| RegistryError::of_connection(&host, &error))??)
        } else {
            None
        };
        let reach = Reach::of(&host, &self.homes);
        if let Some(address) = address_of(&host).filter(|address| !reach.allows(*address)) {
            return Err(RegistryError::invalid(ForbiddenAddress(address).to_string()));
        }
        // A registry of this host is never asked through another one.
        let is_own = is_of_this_host(&host);
        let proxy = self.proxies.intercept(address).filter(|_| !is_own);
        // A proxy looks names up itself, and may be on this host.
        let reach = if proxy.is_some() { Reach::Anywhere } else { reach };
        let mut connector = HttpConnector::new_with_resolver(Resolver(reach));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECTING));
        let builder = HttpsConnectorBuilder::new();
        let builder = match config {
            Some(config) => builder.with_tls_config(config).https_only(),
            // Never used for TLS: it trusts nobody.
            None => builder.with_tls_config(roots::nobody()?).https_or_http(),
        };
        let builder = builder.enable_http1();
        let pool = legacy::Client::builder(TokioExecutor::new());
        let client = match proxy {
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                Client::Tunnelled(pool.build(builder.wrap_connector(tunnel)))
            }
            None => Client::Direct(pool.build(builder.wrap_connector(connector))),
        };
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, client.clone());
        Ok(client)
    }
}

fn parsed(address: &str) -> Result<Uri, RegistryError> {
    let unusable = |error| RegistryError::invalid(format!("{address:?} is not an address: {error}"));
    address.parse().map_err(unusable)
}

/// The host of an address, with its port if it names one, and without a user's name.
fn host_of(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether an address is at an origin (RFC 6454): of the same scheme, host and port, however they are written.
pub(super) fn is_of(address: &Uri, origin: &str) -> bool {
    let parts = |uri: &Uri| {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, uri.host()?.to_ascii_lowercase(), port))
    };
    let origin = origin.parse::<Uri>().ok();
    origin.and_then(|origin| parts(&origin)).is_some_and(|origin| parts(address) == Some(origin))
}

pub(super) const fn is_redirection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirection leads; `None` if nobody should follow it there, as from TLS to none.
pub(super) fn redirected(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let next: Uri = if location.starts_with("//") {
        format!("{scheme}:{location}").parse().ok()?
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}").parse().ok()?
    } else {
        location.parse().ok()?
    };
    match (scheme, next.scheme_str()?) {
        (_, "https") | ("http", "http") => Some(next),
        _ => None,
    }
}

/// An address of IPv4 that one of IPv6 means: mapped, or translated by NAT64 (RFC 6052, section 2.1).
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => match address.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(((u32::from(high) << 16) | u32::from(low)).into())
            }
            _ => IpAddr::V6(address),
        },
        address @ IpAddr::V4(_) => address,
    }
}

/// Where clouds answer their own machines besides the link-local addresses, as their documents have it: AWS and its
/// EKS, Google, Alibaba and Azure.
const METADATA: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];
/// The beginning of addresses that a network's own NAT64 translates (RFC 8215), to whatever.
const LOCAL_TRANSLATION: [u16; 3] = [0x64, 0xff9b, 1];

/// Where a host may be. Whoever runs a registry could otherwise let this machine ask what nobody else can: servers on its
/// loopback, or a cloud's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// A host that the user's files name.
    Anywhere,
    /// A host that a registry on this host's loopback names.
    Loopback,
    /// A host that any other registry names.
    Elsewhere,
}

impl Reach {
    fn of(host: &str, homes: &[String]) -> Self {
        if homes.iter().any(|home| home == host) {
            Self::Anywhere
        } else if homes.iter().any(|home| is_of_this_host(home)) {
            Self::Loopback
        } else {
            Self::Elsewhere
        }
    }

    fn allows(self, address: IpAddr) -> bool {
        let address = meant(address);
        let is_of_link = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => {
                address.is_unicast_link_local() || address.segments()[..3] == LOCAL_TRANSLATION
            }
        } || METADATA.contains(&address);
        match self {
            Self::Anywhere => true,
            Self::Loopback => !is_of_link && !address.is_unspecified(),
            Self::Elsewhere => !is_of_link && !address.is_unspecified() && !address.is_loopback(),
        }
    }
}

/// Looks names up on a thread that may be refused: those of tokio panic then.
#[derive(Clone)]
struct Resolver(Reach);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let look_up = blocking("names", move || (name.as_str(), 0).to_socket_addrs());
        let Self(reach) = *self;
        Box::pin(async move {
            let (allowed, refused): (Vec<_>, Vec<_>) =
                look_up.await??.partition(|found| reach.allows(found.ip()));
            match refused.first() {
                Some(refused) if allowed.is_empty() => Err(io::Error::other(ForbiddenAddress(refused.ip()))),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_leads_nowhere_that_only_this_machine_reaches() {
        let (remote, own) = (vec!["ghcr.io".to_owned()], vec!["127.0.0.1:5000".to_owned()]);
        for (homes, host, addresses, is_allowed) in [
            (&remote, "ghcr.io", &["140.82.112.3", "127.0.0.1", "169.254.169.254"][..], true),
            (&remote, "storage.test", &["140.82.112.3", "10.0.0.1", "2001:db8::1"], true),
            (
                &remote,
                "storage.test",
                &["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"],
                false,
            ),
            (&remote, "storage.test", &["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"], false),
            (
                &remote,
                "storage.test",
                &[
                    "64:ff9b::a9fe:a9fe",
                    "64:ff9b::7f00:1",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "100.100.100.200",
                    "64:ff9b:1::a9fe:a9fe",
                ],
                false,
            ),
            (&own, "127.0.0.1:5001", &["127.0.0.1", "::1", "10.0.0.1"], true),
            (&own, "127.0.0.1:5001", &["169.254.169.254", "fe80::1", "0.0.0.0"], false),
        ] {
            let reach = Reach::of(host, homes);
            for address in addresses {
                let parsed = address.parse().expect("an address");
                assert_eq!(reach.allows(parsed), is_allowed, "{homes:?} {host} {address}");
            }
        }
    }

    #[test]
    fn this_host_is_known_in_every_spelling() {
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "localhost.:80",
            "a.localhost",
            "127.0.0.1:5000",
            "127.1",
            "127.9.9.9:1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "[::1]:5000",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_of_this_host(host), "{host}");
        }
        for host in [
            "ghcr.io",
            "localhost.test",
            "10.0.0.1:5000",
            "128.0.0.1",
            "[2001:db8::1]:5000",
            "127.0.0.1.test",
        ] {
            assert!(!is_of_this_host(host), "{host}");
        }
    }

    #[test]
    fn redirections_never_lead_from_tls_to_none() {
        for (from, location, to) in [
            ("https://a.test/v2/x", "https://b.test/y?z=1", Some("https://b.test/y?z=1")),
            ("https://a.test/v2/x", "/y", Some("https://a.test/y")),
            ("https://a.test/v2/x", "//b.test/y", Some("https://b.test/y")),
            ("https://a.test/v2/x", "http://a.test/y", None),
            ("http://a.test/v2/x", "http://b.test/y", Some("http://b.test/y")),
            ("http://a.test/v2/x", "https://b.test/y", Some("https://b.test/y")),
            ("https://a.test/v2/x", "file:///etc/passwd", None),
            ("https://a.test/v2/x", "y", None),
        ] {
            let found = redirected(&from.parse().expect("an address"), location);
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), to, "{from} {location}");
        }
    }
}
