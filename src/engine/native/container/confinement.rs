//! What a container's processes may do: the capabilities that Docker leaves them by default, as far as this process has
//! them, no new ones by execution, and Docker's default filter of system calls.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::seccomp;
use super::surroundings::Surroundings;
use super::user::User;
use crate::engine::native::isolation::Isolation;
use crate::engine::native::namespaces;
use crate::engine::native::roles::Failure;

/// Docker's default capabilities.
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);
/// Those that a definition may add. Others would need system calls that are refused to every container.
pub const ADDABLE: CapabilitySet = CapabilitySet::IPC_LOCK
    .union(CapabilitySet::IPC_OWNER)
    .union(CapabilitySet::LEASE)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::NET_BROADCAST)
    .union(CapabilitySet::SYS_NICE)
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::WAKE_ALARM);
/// One more than the highest number of a capability.
const CAPABILITIES: u32 = 64;

/// Becomes the user, for good, with these capabilities if that is root. Every step that fails ends this: nothing runs with more
/// than it should have, nor with less than was declared.
pub fn become_user(user: &User, surroundings: &Surroundings, isolation: Isolation) -> io::Result<()> {
    let step = |what: &'static str| move |error: Errno| Failure::doing(what)(error.into());
    let filters = seccomp::filters()?;
    let is_alone = isolation == Isolation::OneId;
    if is_alone && (user.id, user.group) != (0, 0) {
        // The container has only one user, which gets the number that the image means.
        namespaces::enter_as(user.id, user.group)?;
    }
    let wanted = surroundings.capabilities();
    drop_all_but(wanted).map_err(Failure::doing("drop capabilities"))?;
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    match set_thread_groups(&groups) {
        // Where there is one user only, groups can be neither set nor dropped.
        Err(Errno::PERM) if is_alone || user.id == 0 => {}
        done => done.map_err(step("set groups"))?,
    }
    let (id, group) = (Uid::from_raw(user.id), Gid::from_raw(user.group));
    set_thread_res_gid(group, group, group).map_err(step("become the group"))?;
    set_thread_res_uid(id, id, id).map_err(step("become the user"))?;
    let now = capabilities(None).map_err(step("read capabilities"))?;
    let missing = (wanted - DEFAULT) - now.permitted;
    if user.id == 0 && !missing.is_empty() {
        let names: Vec<&str> = missing.iter_names().map(|(name, _)| name).collect();
        return Err(
            Failure::said(format!("this host does not let a container have {}", names.join(", "))).into()
        );
    }
    let kept = if user.id == 0 { wanted & now.permitted } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(step("drop capabilities"))?;
    set_no_new_privs(true).map_err(step("forbid new privileges"))?;
    seccomp::apply(&filters)
}

/// Gives up for good what executed programs could get of capabilities, but for these.
pub fn drop_all_but(wanted: CapabilitySet) -> io::Result<()> {
    match clear_ambient_capability_set() {
        // Early gVisor and Linux before 4.3 have no such set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    for number in 0..CAPABILITIES {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // The kernel does not know all numbers.
        let Ok(is_there) = capability_is_in_bounding_set(one) else { break };
        if is_there && !wanted.contains(one) {
            remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}
