//! What a definition changes of what a container's processes may do and find: capabilities, limits, settings of the kernel.

use std::collections::BTreeMap;
use std::io;

use rustix::process::{Rlimit, setrlimit};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::confinement::{ADDABLE, DEFAULT};
use crate::definition::ContainerKeys;
use crate::engine::native::limited::{bound, resource};
use crate::engine::native::roles::Failure;

/// What stands for every capability.
const ALL: &str = "ALL";
/// What Docker sets in each container's own network: all its users listen at every port, and send echo requests.
const OF_OWN_NETWORK: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// What is not as every container has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// Capabilities beside Docker's default ones.
    pub added: Vec<String>,
    /// Capabilities that are taken away.
    pub dropped: Vec<String>,
    /// Whether nothing but what is mounted can be written to.
    pub read_only: bool,
    /// The size of `/dev/shm`, in bytes.
    pub shared_memory: Option<u64>,
    /// The kernel's limits for each process, soft and hard; a negative one is none.
    pub limits: BTreeMap<String, (i64, i64)>,
    /// Settings of the kernel.
    pub sysctls: BTreeMap<String, String>,
    /// More lines of `/etc/hosts`: `name:address`.
    pub hosts: Vec<String>,
}

impl Surroundings {
    /// What the definition says.
    pub fn of(keys: &ContainerKeys) -> Self {
        Self {
            added: keys.cap_add.clone(),
            dropped: keys.cap_drop.clone(),
            read_only: keys.read_only,
            shared_memory: keys.shm_size,
            limits: keys.ulimits.clone(),
            sysctls: keys.sysctls.clone(),
            hosts: keys.extra_hosts.clone(),
        }
    }

    /// The capabilities that root has in the container: as Docker counts them, what is added by its name is there even if all
    /// are dropped.
    pub fn capabilities(&self) -> CapabilitySet {
        let named = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| CapabilitySet::from_name(name))
                .fold(CapabilitySet::empty(), CapabilitySet::union)
        };
        let dropped =
            if self.dropped.iter().any(|name| name == ALL) { DEFAULT } else { named(&self.dropped) };
        (DEFAULT - dropped) | (named(&self.added) - named(&self.dropped))
    }

    /// Limits this process and what it becomes.
    pub fn apply_limits(&self) -> io::Result<()> {
        self.limits.iter().try_for_each(|(name, (soft, hard))| {
            let step = || Failure::doing(format!("set the limit `{name}`"));
            let resource = resource(name).ok_or_else(|| step()(io::ErrorKind::Unsupported.into()))?;
            let limits = Rlimit { current: bound(*soft), maximum: bound(*hard) };
            setrlimit(resource, limits).map_err(io::Error::from).map_err(step())
        })
    }

    /// Sets what the kernel has for each of its namespaces, which this process has entered.
    pub fn apply_sysctls(&self, has_own_network: bool) -> io::Result<()> {
        for (path, value) in OF_OWN_NETWORK
            .iter()
            .filter(|_| has_own_network)
            .filter_map(|(name, value)| Some((sysctl(name)?, value)))
        {
            // Where not so many groups are mapped, the kernel refuses the second.
            let _ = std::fs::write(path, value);
        }
        self.sysctls.iter().try_for_each(|(name, value)| {
            let step = Failure::doing(format!("set `{name}`"));
            let path = sysctl(name).ok_or(io::ErrorKind::InvalidInput);
            path.map_err(io::Error::from).and_then(|path| std::fs::write(path, value)).map_err(step)
        })
    }
}

/// The file of a setting; `None` if its name could lead elsewhere.
fn sysctl(name: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let parts = || name.split('.');
    let is_name = name.bytes().all(is_plain) && parts().count() > 1 && parts().all(|part| !part.is_empty());
    is_name.then(|| format!("/proc/sys/{}", parts().collect::<Vec<_>>().join("/")))
}

/// The capabilities of a definition that no container of this engine has.
pub fn beyond(keys: &ContainerKeys) -> Vec<&str> {
    let can_have =
        |name: &str| CapabilitySet::from_name(name).is_some_and(|one| (DEFAULT | ADDABLE).contains(one));
    keys.cap_add.iter().map(String::as_str).filter(|name| !can_have(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(added: &[&str], dropped: &[&str]) -> CapabilitySet {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let surroundings =
            Surroundings { added: texts(added), dropped: texts(dropped), ..Surroundings::default() };
        surroundings.capabilities()
    }

    #[test]
    fn capabilities_are_counted_as_docker_counts_them() {
        assert_eq!(of(&[], &[]), DEFAULT);
        assert_eq!(of(&[], &["ALL"]), CapabilitySet::empty());
        assert_eq!(of(&["CHOWN"], &["ALL"]), CapabilitySet::CHOWN);
        assert_eq!(of(&["IPC_LOCK"], &["MKNOD"]), (DEFAULT - CapabilitySet::MKNOD) | CapabilitySet::IPC_LOCK);
        let keys = ContainerKeys {
            cap_add: ["NET_ADMIN", "SYS_ADMIN", "ALL", "CHOWN"].map(str::to_owned).to_vec(),
            ..ContainerKeys::default()
        };
        assert_eq!(beyond(&keys), ["SYS_ADMIN", "ALL"]);
    }

    #[test]
    fn names_of_settings_lead_nowhere_else() {
        assert_eq!(sysctl("net.core.somaxconn").as_deref(), Some("/proc/sys/net/core/somaxconn"));
        for name in ["net./../kernel.core_pattern", "net...x", "net", "", "net.a b", ".net.x", "net.."] {
            assert_eq!(sysctl(name), None, "{name}");
        }
    }
}
