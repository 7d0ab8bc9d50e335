//! Who listens on this host: a program's port is one of the host's own, which somebody else may have.

#[cfg(target_os = "linux")]
mod diagnosis;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;

use procfs_core::net::{TcpNetEntries, TcpState};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI};

/// The kernel's tables of TCP sockets.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// The ports that something listens on where a dial of the loopback address reaches it, each with the inode of its socket.
#[must_use]
pub fn taken() -> BTreeMap<u16, u64> {
    let reached = listeners().into_iter().filter(|listener| is_reached(listener.address));
    reached.map(|listener| (listener.port, listener.inode)).collect()
}

#[cfg(target_os = "linux")]
fn listeners() -> Vec<Listener> {
    // Sandboxes may have no such sockets.
    diagnosis::listeners().unwrap_or_else(|_| tables())
}

#[cfg(not(target_os = "linux"))]
fn listeners() -> Vec<Listener> {
    tables()
}

/// What the kernel's tables say.
fn tables() -> Vec<Listener> {
    let system = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 0,
        page_size: 0,
        is_little_endian: cfg!(target_endian = "little"),
    };
    let mut found = Vec::new();
    for table in TABLES {
        let Ok(file) = File::open(table) else { continue };
        let Ok(TcpNetEntries(entries)) = TcpNetEntries::from_buf_read(BufReader::new(file), &system) else {
            continue;
        };
        let listeners = entries.into_iter().filter(|entry| entry.state == TcpState::Listen);
        found.extend(listeners.map(|entry| Listener {
            address: entry.local_address.ip(),
            port: entry.local_address.port(),
            inode: entry.inode,
        }));
    }
    found
}

/// Whether a dial of 127.0.0.1 reaches what listens there.
fn is_reached(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_unspecified() || address == IpAddr::from([127, 0, 0, 1])
}

/// The process that has a socket open, with its program's name, as far as this user may see it.
#[must_use]
pub fn owner(inode: u64) -> Option<(i32, String)> {
    let socket = format!("socket:[{inode}]");
    let has_it = |id: &i32| {
        let files = std::fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == &*socket))
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let id = ids.find(has_it)?;
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    Some((id, name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(address).expect("a free port");
            let port = listener.local_addr().expect("an address").port();
            let inode = *taken().get(&port).expect("it is taken");
            let own = i32::try_from(std::process::id()).expect("a number");
            assert_eq!(owner(inode).expect("it is this process").0, own);
            drop(listener);
            // A child of another test may have it a moment longer, until it executes its program.
            while taken().get(&port) == Some(&inode) {
                std::thread::yield_now();
            }
        }
        let elsewhere = TcpListener::bind("127.9.9.9:0").expect("a free port");
        assert!(!taken().contains_key(&elsewhere.local_addr().expect("an address").port()));
    }
}
