//! How a container reaches other sidecars of its network by their names: a resolver at an address of its own network, and for
//! each name that was asked for an address at which the neighbour's declared ports are. They lie in a second network, beyond a
//! pair of interfaces, so that a server in the container may listen at the same ports itself. From there a connection goes by
//! the neighbour's supervisor (`passage`), so that it takes no right on this host.

pub mod passage;
mod question;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener as StdListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::question::{Answer, Question};
use super::container::specification::address_of;
use super::netlink::{End, LOOPBACK, Netlink};
use super::roles::{Failure, Helper};
use super::specification::Specification;
use super::store::{Store, Stored};
use crate::plan::session::Session;

/// Where the resolver listens: as Docker has it.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const RESOLVER_PORT: u16 = 53;
/// The addresses of neighbours, and the length of their prefix: each is the one at which this host reaches it, with another
/// first number.
const NEIGHBOURS: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 64, 0, 0), 10);
/// The container's interface, and the one at the other end.
const INSIDE: End<'static> = End { name: "eth0", index: 100 };
const OUTSIDE: End<'static> = End { name: "outside", index: 101 };
/// The longest question.
const LONGEST: usize = 512;
/// The pauses between two looks whether a neighbour listens, and the time after which it hardly will.
const PAUSE: Duration = Duration::from_millis(10);
const LATE_PAUSE: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_secs(60);
/// The pause if no further connection can be taken up.
const EXHAUSTED: Duration = Duration::from_millis(20);

/// The neighbours of one container.
pub struct Neighbours {
    store: Store,
    /// The container's own name, network and address.
    name: String,
    network: String,
    /// The session that it belongs to.
    session: Option<Session>,
    address: Ipv4Addr,
    /// The second network, made for the first neighbour.
    second: Mutex<Option<Second>>,
    /// The ports of neighbours that are looked after.
    doors: Mutex<BTreeSet<(String, u16)>>,
}

/// The second network, of which this thread is not.
struct Second {
    network: OwnedFd,
    requests: Netlink,
}

impl Neighbours {
    /// Answers the container in this folder, whose network this thread has entered.
    ///
    /// # Errors
    /// If its resolver cannot listen.
    pub fn serve(folder: &Path, specification: &Specification) -> io::Result<()> {
        let root = folder.ancestors().nth(2).unwrap_or(Path::new("/"));
        let own = Self {
            store: Store::at(root.to_owned(), Helper::own()),
            name: specification.name.clone(),
            network: specification.network.clone(),
            session: Session::of(&specification.labels),
            address: beyond(address_of(root, &specification.name)),
            second: Mutex::default(),
            doors: Mutex::default(),
        };
        let socket = std::net::UdpSocket::bind((RESOLVER, RESOLVER_PORT))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        tokio::spawn(Arc::new(own).answer(socket));
        Ok(())
    }

    async fn answer(self: Arc<Self>, socket: UdpSocket) {
        let mut message = [0; LONGEST];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut message).await else {
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            };
            let Some(question) = message.get(..length).and_then(Question::parse) else { continue };
            let answer = self.resolve(&question.name).await;
            let _ = socket.send_to(&question.answer(answer), client).await;
        }
    }

    async fn resolve(self: &Arc<Self>, name: &str) -> Answer {
        let Some(found) = self.named(name) else { return Answer::Unknown };
        let name = &found.specification.name;
        if *name == self.name {
            return Answer::Address(address_of(self.store.root(), name));
        }
        let address = beyond(address_of(self.store.root(), name));
        match self.open_doors(&found, address).await {
            Ok(()) => Answer::Address(address),
            Err(_) => Answer::Failed,
        }
    }

    /// The instance that runs in the same network under this name: a shared one, or one of the same session.
    fn named(&self, name: &str) -> Option<Stored> {
        // As Docker compares them.
        let wanted = name.to_lowercase();
        let is_its = |found: &Stored| {
            let specification = &found.specification;
            let mut names = std::iter::once(&specification.name).chain(&specification.aliases);
            let session = Session::of(&specification.labels);
            specification.network == self.network
                && (session.is_none() || session == self.session)
                && names.any(|own| own.to_lowercase() == wanted)
                && found.instance().is_up()
        };
        let all = self.store.names().into_iter().filter_map(|name| self.store.find(&name));
        all.into_iter().find(is_its)
    }

    /// Makes a neighbour's ports reachable at this address.
    async fn open_doors(self: &Arc<Self>, found: &Stored, address: Ipv4Addr) -> io::Result<()> {
        self.in_second(|second| second.requests.add_address(LOOPBACK, address))?;
        for port in found.specification.ports() {
            let door = (found.specification.name.clone(), *port);
            let is_new = self.doors.lock().unwrap_or_else(PoisonError::into_inner).insert(door);
            if is_new {
                let looked = Arc::new(Notify::new());
                let own = Arc::clone(self);
                let (name, port, seen) = (found.specification.name.clone(), *port, Arc::clone(&looked));
                tokio::spawn(
                    async move { own.keep_door(&name, SocketAddrV4::new(address, port), &seen).await },
                );
                // What listens already is reached by whoever asked.
                looked.notified().await;
            }
        }
        Ok(())
    }

    /// Listens at an address as long as the neighbour does, again and again.
    async fn keep_door(&self, name: &str, address: SocketAddrV4, looked: &Notify) {
        let folder = || self.store.id_of(name).map(|id| self.store.instance(&id));
        loop {
            let begun = Instant::now();
            while !matches!(folder(), Some(folder) if passage::listens(&folder, address.port()).await) {
                looked.notify_one();
                tokio::time::sleep(if begun.elapsed() > LONG { LATE_PAUSE } else { PAUSE }).await;
            }
            let listener = self.in_second(|_| StdListener::bind(address)).and_then(|listener| {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            });
            looked.notify_one();
            let Ok(listener) = listener else {
                tokio::time::sleep(LATE_PAUSE).await;
                continue;
            };
            let refused = Arc::new(Notify::new());
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, _)) => {
                            let (folder, refused) = (folder(), Arc::clone(&refused));
                            tokio::spawn(async move {
                                let server = match &folder {
                                    Some(folder) => passage::connect(folder, address.port()).await,
                                    None => None,
                                };
                                let mut client: TcpStream = client;
                                let Some(mut server) = server else {
                                    // So that it is reset, and not ended as if something had been said.
                                    let _ = set_socket_linger(&client, Some(Duration::ZERO));
                                    return refused.notify_one();
                                };
                                let _ = client.set_nodelay(true);
                                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                            });
                        }
                        Err(_) => tokio::time::sleep(EXHAUSTED).await,
                    },
                    () = refused.notified() => break,
                }
            }
        }
    }

    /// Does something in the second network, which is made if there is none.
    fn in_second<T>(&self, act: impl FnOnce(&Second) -> io::Result<T>) -> io::Result<T> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let second = match &mut *second {
            Some(second) => second,
            none => none.insert(Second::make(self.address)?),
        };
        let own = own_network()?;
        enter(&second.network)?;
        let done = act(second);
        enter(&own)?;
        done
    }
}

impl Second {
    /// Makes it, beside the one of this thread, where the container has this address from now on.
    fn make(address: Ipv4Addr) -> io::Result<Self> {
        let own = own_network()?;
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(io::Error::from)
            .map_err(Failure::doing("make a second network"))?;
        let made = own_network().and_then(|network| Ok((network, Netlink::open()?)));
        enter(&own)?;
        let (network, requests) = made?;
        let inside = Netlink::open()?;
        inside
            .make_pair(&INSIDE, &OUTSIDE, &network)
            .map_err(Failure::doing("make a pair of network interfaces"))?;
        inside.add_address(INSIDE.index, address)?;
        inside.bring_up(INSIDE.index)?;
        inside.add_route(INSIDE.index, NEIGHBOURS)?;
        requests.bring_up(LOOPBACK)?;
        requests.bring_up(OUTSIDE.index)?;
        requests.add_route(OUTSIDE.index, (address, 32))?;
        Ok(Self { network, requests })
    }
}

/// Tries out whether containers can have neighbours, in a network of this process's own.
pub fn attempt() -> io::Result<()> {
    Second::make(NEIGHBOURS.0).map(drop)
}

/// The address of a sidecar for its neighbours.
const fn beyond(address: Ipv4Addr) -> Ipv4Addr {
    let [_, second, third, fourth] = address.octets();
    Ipv4Addr::new(NEIGHBOURS.0.octets()[0], second, third, fourth)
}

fn own_network() -> io::Result<OwnedFd> {
    Ok(open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn enter(network: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
}
