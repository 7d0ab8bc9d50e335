//! Requests to the kernel about network interfaces, as far as a container's network needs them.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// The index of the loopback interface.
pub const LOOPBACK: u32 = 1;

/// Kinds of requests, as the kernel numbers them.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// A request that is acknowledged.
const ACKNOWLEDGED: u16 = 1 | 4;
/// What makes something that must not be there yet.
const CREATE: u16 = 0x200 | 0x400;
/// `IFF_UP`.
const UP: u32 = 1;
/// The length of a message's header, and the beginning of an answer's error code.
const HEADER: usize = 16;
/// Attributes, as the kernel numbers them.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const LOCAL_ADDRESS: u16 = 2;
const DESTINATION: u16 = 1;
const OUTPUT: u16 = 4;

/// A connection to the kernel, about the network in which it was made.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// One end of a pair of interfaces.
pub struct End<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub index: u32,
}

impl Netlink {
    /// About the network in which this thread is.
    pub fn open() -> io::Result<Self> {
        Ok(Self(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?))
    }

    /// Brings an interface up.
    pub fn bring_up(&self, index: u32) -> io::Result<()> {
        self.ask(NEW_LINK, 0, link(index, UP, UP))
    }

    /// Makes a pair of interfaces, one here and one in the other network: what is sent into one comes out of the other.
    pub fn make_pair(&self, here: &End<'_>, there: &End<'_>, network: &OwnedFd) -> io::Result<()> {
        let mut peer = link(there.index, 0, 0);
        attribute(&mut peer, IFLA_IFNAME, &text(there.name));
        attribute(&mut peer, IFLA_NET_NS_FD, &network.as_raw_fd().to_ne_bytes());
        let (mut data, mut information) = (Vec::new(), Vec::new());
        attribute(&mut data, VETH_INFO_PEER, &peer);
        attribute(&mut information, IFLA_INFO_KIND, b"veth");
        attribute(&mut information, IFLA_INFO_DATA, &data);
        let mut body = link(here.index, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &text(here.name));
        attribute(&mut body, IFLA_LINKINFO, &information);
        self.ask(NEW_LINK, CREATE, body)
    }

    /// Gives an interface an address. It may have it already.
    pub fn add_address(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        // Family, length of the prefix, flags, scope.
        let mut body = vec![family(), 32, 0, 0];
        body.extend(index.to_ne_bytes());
        attribute(&mut body, LOCAL_ADDRESS, &address.octets());
        attribute(&mut body, ADDRESS, &address.octets());
        match self.ask(NEW_ADDRESS, CREATE, body) {
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// Says that addresses are reached directly at an interface.
    pub fn add_route(&self, index: u32, (first, length): (Ipv4Addr, u8)) -> io::Result<()> {
        /// The table `main`, the origin `static`, the scope `link`, and the kind `unicast`.
        const ROUTE: [u8; 4] = [254, 4, 253, 1];
        // Family, lengths of destination and source, kind of service.
        let mut body = vec![family(), length, 0, 0];
        body.extend(ROUTE);
        body.extend([0; 4]);
        attribute(&mut body, DESTINATION, &first.octets());
        attribute(&mut body, OUTPUT, &index.to_ne_bytes());
        self.ask(NEW_ROUTE, CREATE, body)
    }

    fn ask(&self, kind: u16, flags: u16, body: Vec<u8>) -> io::Result<()> {
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((ACKNOWLEDGED | flags).to_ne_bytes());
        // Its number and its sender.
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.0, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0_u8; 1024];
        let (read, _) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        let code = answer.get(HEADER..HEADER + 4).filter(|_| read >= HEADER + 4);
        match code.and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
            None => Err(io::Error::other("the kernel gave no answer")),
        }
    }
}

/// What a message about an interface begins with: family, kind, index, flags, and which of the flags change.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for number in [index, flags, change] {
        body.extend(number.to_ne_bytes());
    }
    body
}

fn family() -> u8 {
    u8::try_from(AddressFamily::INET.as_raw()).unwrap_or_default()
}

fn text(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Adds an attribute: its length and kind, and its value up to a multiple of four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_fill_whole_words() {
        let mut message = Vec::new();
        attribute(&mut message, 3, b"eth0\0");
        assert_eq!(message.len(), 12);
        assert_eq!(message.get(..4), Some(&[9_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat()[..]));
        assert_eq!(message.get(4..), Some(&b"eth0\0\0\0\0"[..8]));
    }
}
