//! Namespaces of a container. Whoever enters one has a single thread, and can start none afterwards.

use std::fs;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_move, unmount};
use rustix::process::{Gid, Uid, chroot, getegid, geteuid, pivot_root};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::isolation::{Isolation, make_private};
use super::netlink::{LOOPBACK, Netlink};
use super::roles::{Failure, MAP_IDS};
use crate::system::own_program::OWN_PROGRAM;

/// How many users a namespace has that root makes.
const USERS: u32 = 65_536;
/// The kernel's files of a process that say who its users are.
const MAPS: [Map; 2] = [
    Map { tool: "newuidmap", file: "uid_map", ranges: "/etc/subuid" },
    Map { tool: "newgidmap", file: "gid_map", ranges: "/etc/subgid" },
];

struct Map {
    /// What writes it for those who may not.
    tool: &'static str,
    file: &'static str,
    /// Which others a user may be.
    ranges: &'static str,
}

/// Enters all namespaces of a container but those of mounts and processes; the next child is the first of a namespace of
/// processes. Its own network's loopback interface is up.
pub fn separate(isolation: Isolation) -> io::Result<()> {
    enter_users(isolation)?;
    let rest = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    step("make namespaces of names, queues and network", unshare(rest))?;
    bring_loopback_up()?;
    step("make a namespace of processes", unshare(CloneFlags::CLONE_NEWPID))
}

/// Enters the namespaces of a confined program: it shares no memory and no queues with other programs, and with a network of
/// its own has nothing but a loopback interface.
pub fn separate_program(isolation: Isolation, has_own_network: bool) -> io::Result<()> {
    enter_users(isolation)?;
    step("make a namespace of queues", unshare(CloneFlags::CLONE_NEWIPC))?;
    if has_own_network {
        step("make a namespace of network", unshare(CloneFlags::CLONE_NEWNET))?;
        bring_loopback_up()?;
    }
    Ok(())
}

fn bring_loopback_up() -> io::Result<()> {
    Netlink::open()
        .and_then(|requests| requests.bring_up(LOOPBACK))
        .map_err(Failure::doing("bring the loopback interface up"))
}

/// Enters a namespace of mounts that nobody else sees.
pub fn separate_mounts() -> io::Result<()> {
    step("make a namespace of mounts", unshare(CloneFlags::CLONE_NEWNS))?;
    make_private().map_err(io::Error::from).map_err(Failure::doing("keep mounts private"))
}

/// Makes the current folder, on which something is mounted, the root of this namespace of mounts.
pub fn change_root() -> io::Result<()> {
    let step = |what: &'static str| move |error: Errno| Failure::doing(what)(error.into());
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).map_err(step("leave the root of this host")),
        // Docker's filter of system calls forbids it also to those who may mount.
        Err(Errno::PERM) => {
            mount_move(".", "/").map_err(step("move the root"))?;
            chroot(".").map_err(step("change the root"))
        }
        Err(error) => Err(step("change the root of a namespace")(error)),
    }
}

fn step(what: &str, done: nix::Result<()>) -> io::Result<()> {
    done.map_err(io::Error::from).map_err(Failure::doing(what))
}

const WHAT: &str = "make a namespace of users";

/// Enters a namespace of users in which this process's user and group have these numbers, and nobody else is.
pub fn enter_as(user: u32, group: u32) -> io::Result<()> {
    let (own_user, own_group) = (geteuid().as_raw(), getegid().as_raw());
    step(WHAT, unshare(CloneFlags::CLONE_NEWUSER))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(Failure::doing(format!("write {file}")))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {own_user} 1"))?;
    write("gid_map", format!("{group} {own_group} 1"))
}

/// Enters a namespace of users, and is its root, if this isolation has one.
pub fn enter_users(isolation: Isolation) -> io::Result<()> {
    match isolation {
        Isolation::Privileged | Isolation::None => return Ok(()),
        Isolation::MappedIds => {
            let own = std::process::id().to_string();
            // It waits until there is a namespace, whose maps are written from outside.
            let mut helper = Command::new(OWN_PROGRAM)
                .args([MAP_IDS, &own])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(Failure::doing(WHAT))?;
            let entered = step(WHAT, unshare(CloneFlags::CLONE_NEWUSER));
            drop(helper.stdin.take());
            let mapped = helper.wait_with_output()?;
            entered?;
            if !mapped.status.success() {
                let told = serde_json::from_slice::<Failure>(&mapped.stdout);
                let ended = |_| Failure::said("map users: the helper ended");
                return Err(told.unwrap_or_else(ended).into());
            }
        }
        Isolation::OneId => {
            return enter_as(0, 0);
        }
    }
    // Groups of this user have no meaning within.
    let _ = set_thread_groups(&[]);
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    Ok(set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?)
}

/// Writes the maps of the process with this number, once standard input ends.
pub fn map_ids(process: &str) -> io::Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    let is_root = geteuid().is_root();
    let ids = [geteuid().as_raw(), getegid().as_raw()];
    let user = ids[0];
    for (map, own) in MAPS.iter().zip(ids) {
        let what = || Failure::doing(format!("map users ({})", map.tool));
        if is_root {
            // As far as this namespace has them itself.
            let file = format!("/proc/{process}/{}", map.file);
            fs::write(&file, format!("0 0 {USERS}\n")).map_err(what())?;
            continue;
        }
        let ranges =
            fs::read_to_string(map.ranges).map_err(Failure::doing(format!("read {}", map.ranges)))?;
        let name = name_of(user).unwrap_or_default();
        let (first, count) = range(&ranges, &name, user)
            .ok_or_else(|| Failure::said(format!("map users: {} has no line for this user", map.ranges)))?;
        let [own, first, count] = [own, first, count].map(|number| number.to_string());
        let output = Command::new(map.tool)
            .args([process, "0", &own, "1", "1", &first, &count])
            .stdin(Stdio::null())
            .output()
            .map_err(what())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::said(format!("map users: {said}")).into());
        }
    }
    Ok(())
}

/// The name of the user with this number, as this host has it.
fn name_of(user: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let is_its = |line: &&str| line.split(':').nth(2) == Some(&user.to_string());
    users.lines().find(is_its)?.split(':').next().map(str::to_owned)
}

/// The first subordinate user, and how many there are.
fn range(ranges: &str, name: &str, user: u32) -> Option<(u32, u32)> {
    let number = user.to_string();
    ranges.lines().find_map(|line| {
        let mut parts = line.trim().split(':');
        let of = parts.next().filter(|of| !of.is_empty())?;
        let is_own = of == name || of == number;
        let (first, count) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (is_own && count > 0).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let ranges = "other:1:2\n\nann:100000:65536\n1000:7:8\n:1:1\nbroken\nzero:5:0\n";
        for (name, user, found) in [
            ("ann", 5, Some((100_000, 65_536))),
            ("bob", 1000, Some((7, 8))),
            ("", 6, None),
            ("zero", 6, None),
            ("broken", 6, None),
        ] {
            assert_eq!(range(ranges, name, user), found, "{name}");
        }
    }
}
