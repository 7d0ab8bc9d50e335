//! The kernel's answer to the question which sockets listen (`sock_diag(7)`). It looks at those alone: its tables in
//! `/proc` take it through all that a machine could have connections, which costs some hundred times as much.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::Listener;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// A request for all that there is.
const DUMP: u16 = 1 | 0x300;
/// Kinds of answers.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const TCP: u8 = 6;
/// The state of a socket that listens, as a bit.
const LISTEN: u32 = 1 << 10;
/// The length of a message's header.
const HEADER: usize = 16;
/// The length of a request's part about one socket, which stays empty.
const SOCKET: usize = 48;
/// Where an answer has a socket's port, address and inode.
const PORT: usize = 4;
const ADDRESS: usize = 8;
const INODE: usize = 68;
/// More than the kernel sends at once.
const MOST_BYTES: usize = 64 << 10;

/// All sockets that listen in the network of this thread.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let flags = SocketFlags::CLOEXEC;
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG))?;
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        ask(&kernel, family, &mut found)?;
    }
    Ok(found)
}

fn ask(kernel: &OwnedFd, family: AddressFamily, found: &mut Vec<Listener>) -> io::Result<()> {
    let mut request = u32::try_from(HEADER + 8 + SOCKET).map_err(io::Error::other)?.to_ne_bytes().to_vec();
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    // Its number and its sender.
    request.extend([0; 8]);
    request.extend([u8::try_from(family.as_raw()).map_err(io::Error::other)?, TCP, 0, 0]);
    request.extend(LISTEN.to_ne_bytes());
    request.extend([0; SOCKET]);
    sendto(kernel, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = vec![0_u8; MOST_BYTES];
    loop {
        let (read, _) = recv(kernel, &mut answer[..], RecvFlags::empty())?;
        let mut rest = answer.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => {
                    let code = number(body, 0).map_or(0, |code| code.cast_signed().wrapping_neg());
                    return Err(io::Error::from_raw_os_error(code));
                }
                BY_FAMILY => found.extend(listener(body)),
                _ => {}
            }
            rest = after;
        }
    }
}

/// The first message: its kind, what it says, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(number(bytes, 0)?).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn listener(body: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(body.get(PORT..PORT + 2)?.try_into().ok()?);
    let address = body.get(ADDRESS..ADDRESS + 16)?;
    let address = if AddressFamily::from_raw(u16::from(*body.first()?)) == AddressFamily::INET {
        IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address.get(..4)?).ok()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?))
    };
    Some(Listener { address, port, inode: number(body, INODE)?.into() })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::system::listeners::tables;

    #[test]
    fn the_kernel_answers_what_its_tables_say() {
        let held: Vec<TcpListener> = ["127.0.0.1:0", "0.0.0.0:0", "127.9.9.9:0", "[::1]:0", "[::]:0"]
            .iter()
            .filter_map(|address| TcpListener::bind(address).ok())
            .collect();
        let asked = listeners().expect("an answer");
        let read = tables();
        for listener in &held {
            let at = listener.local_addr().expect("an address");
            let is_it = |one: &&Listener| (one.address, one.port) == (at.ip(), at.port());
            let [asked, read] = [asked.iter().find(is_it), read.iter().find(is_it)];
            assert_eq!(asked.expect("it listens"), read.expect("it listens"), "{at}");
        }
        assert!(held.len() >= 3);
    }
}
