//! What a container is, fixed when its instance is created.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mounts::ContainerMount;
use super::surroundings::Surroundings;
use crate::definition::ContainerKeys;
use crate::engine::image_file::{ImageConfig, ProcessConfig};
use crate::engine::native::control_group::Limits;
use crate::engine::native::health::HealthTest;
use crate::engine::native::isolation::Isolation;

/// Where programs are found if an image does not say it: as Docker has it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of an instance's id is its host's name: as Docker has it.
const HOSTNAME: usize = 12;

/// An image's process, with what a definition changes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpecification {
    /// The image's id.
    pub image: String,
    /// Its layers, the lowest first.
    pub layers: Vec<String>,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// What is executed, with its arguments.
    pub arguments: Vec<String>,
    /// `user[:group]`, by name or number.
    pub user: String,
    /// Where it starts.
    pub directory: String,
    /// Its host's name.
    pub hostname: String,
    /// Where this host reaches it.
    pub address: Ipv4Addr,
    /// The ports that are reached there.
    pub ports: Vec<u16>,
    /// Its names.
    pub names: Vec<String>,
    /// Its health test.
    pub health: Option<HealthTest>,
    /// How much it may use.
    #[serde(default)]
    pub limits: Limits,
    /// What else its definition changes.
    #[serde(default)]
    pub surroundings: Surroundings,
    /// What it mounts, the outer ones first.
    #[serde(default)]
    pub mounts: Vec<ContainerMount>,
}

impl ContainerSpecification {
    /// Of an image with this id, for an instance with this id and name.
    pub fn new(
        (image, config): (&str, &ImageConfig),
        keys: &ContainerKeys,
        (id, names): (&str, Vec<String>),
        (isolation, address, ports): (Isolation, Ipv4Addr, Vec<u16>),
        mounts: Vec<ContainerMount>,
    ) -> Self {
        let process = &config.config;
        let directory = Some(&process.working_dir).filter(|folder| !folder.is_empty());
        Self {
            image: image.to_owned(),
            layers: config.rootfs.diff_ids.clone(),
            isolation,
            arguments: arguments(process, keys),
            user: keys.user.clone().unwrap_or_else(|| process.user.clone()),
            directory: keys.working_dir.as_ref().or(directory).cloned().unwrap_or_else(|| "/".to_owned()),
            hostname: keys.hostname.clone().unwrap_or_else(|| id.chars().take(HOSTNAME).collect()),
            address: if isolation.is_isolated() { address } else { Ipv4Addr::LOCALHOST },
            ports,
            names,
            health: HealthTest::of(process),
            limits: Limits::of(keys),
            surroundings: Surroundings::of(keys),
            mounts,
        }
    }
}

/// What is executed: as Docker has it, a declared entrypoint also drops the image's command.
fn arguments(process: &ProcessConfig, keys: &ContainerKeys) -> Vec<String> {
    let declared = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    let (entrypoint, command) = (declared(&keys.entrypoint), declared(&keys.command));
    let of_image = if entrypoint.is_some() { Vec::new() } else { process.cmd.clone() };
    let mut all = entrypoint.unwrap_or_else(|| process.entrypoint.clone());
    all.extend(command.unwrap_or(of_image));
    all
}

/// The environment: the image's, and over it the definition's.
pub fn environment(
    process: &ProcessConfig,
    keys: &ContainerKeys,
    hostname: &str,
) -> BTreeMap<String, String> {
    let own = [("PATH", PATH), ("HOSTNAME", hostname)];
    let mut all: BTreeMap<String, String> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let of_image = process.env.iter().filter_map(|variable| variable.split_once('='));
    all.extend(of_image.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.extend(keys.env.clone());
    all
}

/// The address of this host's loopback network at which a sidecar's ports are: the same one for each of its instances, and
/// hardly ever that of another sidecar. It is never 127.0.0.1, where programs of this host have theirs.
pub fn address_of(store: &std::path::Path, name: &str) -> Ipv4Addr {
    let digest = Sha256::new()
        .chain_update(store.as_os_str().as_encoded_bytes())
        .chain_update([0])
        .chain_update(name)
        .finalize();
    let [second, third, fourth, ..] = digest.as_slice() else { return Ipv4Addr::LOCALHOST };
    // 127.64.0.1 to 127.127.255.254.
    Ipv4Addr::new(127, 64 + second % 64, *third, 1 + fourth % 254)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_definition_changes_the_command_as_docker_has_it() {
        let process =
            ProcessConfig { entrypoint: words("entry"), cmd: words("a b"), ..ProcessConfig::default() };
        for (entrypoint, command, all) in [
            (None, None, "entry a b"),
            (Some(""), Some(""), "entry a b"),
            (None, Some("c"), "entry c"),
            (Some("other"), None, "other"),
            (Some("other x"), Some("c"), "other x c"),
        ] {
            let keys = ContainerKeys {
                entrypoint: entrypoint.map(words),
                command: command.map(words),
                ..ContainerKeys::default()
            };
            assert_eq!(arguments(&process, &keys), words(all), "{entrypoint:?} {command:?}");
        }
    }

    #[test]
    fn addresses_are_loopback_and_stay() {
        let of = |name: &str| address_of(std::path::Path::new("/state"), name);
        assert_eq!(of("farrier-db"), of("farrier-db"));
        assert_ne!(of("farrier-db"), of("farrier-cache"));
        for number in 0..1000 {
            let [first, second, _, fourth] = of(&number.to_string()).octets();
            assert!(first == 127 && (64..128).contains(&second) && (1..255).contains(&fourth));
        }
    }
}
