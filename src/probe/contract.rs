//! The contract with guests: which versions of `farrier:probe` this host speaks, and whether the types of a
//! component's imports and exports are a version's. Nothing is compiled for it.
//!
//! wasmtime's linker resolves an import by its semver track: `farrier:probe/dial@0.1.3` meets what is linked as
//! `@0.1.0`, and an export of 0.1.3 is found under the name of 0.1.0. What then decides are the functions that the
//! component names, and their types. This room compares the same before any container is made.

mod comparison;
mod outside;

use std::sync::{Arc, OnceLock};

use wasmtime::component::{InstancePre, Linker};

use self::comparison::Comparison;
use self::outside::{Interface, Interfaces, types_of};
pub use self::outside::{Outside, read};
use super::capabilities::Capability;
use super::component::ComponentFile;
use super::guest::Guest;
use super::since_0_1_0;
use super::store::HostState;
use super::wasi;

/// Every version that this host speaks, the newest first.
pub const HOSTED: &[&Version] = &[&since_0_1_0::VERSION];
/// The newest of them.
pub const CONTRACT: &str = since_0_1_0::NUMBER;
/// The package, as it begins the name of each of its interfaces.
pub const PACKAGE: &str = "farrier:probe/";
/// The interface that holds types only.
pub const TYPES: &str = "types";
/// The export that makes a component a probe.
const CHECK: &str = "check";

/// A version of the contract.
pub struct Version {
    /// Its number.
    pub number: &'static str,
    /// Its semver track: within it, functions and interfaces are only added.
    pub track: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The world with everything in it.
    pub world: &'static str,
    /// What a component may import.
    pub capabilities: &'static [Capability],
    /// Links its types.
    pub link_types: fn(&mut Linker<HostState>) -> wasmtime::Result<()>,
    /// Finds a component's exports.
    pub guest: FindGuest,
    /// The world's types, once they were read.
    pub(super) outside: OnceLock<Result<Outside, String>>,
}

/// Finds the exports of a component, linked but not instantiated.
pub type FindGuest = fn(&InstancePre<HostState>, &ComponentFile) -> wasmtime::Result<Arc<dyn Guest>>;

impl Version {
    /// Whether components of this version are hosted by it, if they need only what it has.
    fn hosts(&self, version: &str) -> bool {
        let patch = version.strip_prefix(self.track).unwrap_or_default();
        patch.parse::<u32>().is_ok_and(|number| number.to_string() == patch)
    }

    /// The capability of this name.
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<&'static Capability> {
        self.capabilities.iter().find(|capability| capability.name == name)
    }

    /// Links its types, what needs no grant, and what was granted; nothing else exists for a guest.
    ///
    /// # Errors
    /// When an interface is linked twice.
    pub fn link(&self, linker: &mut Linker<HostState>, granted: &[&str]) -> wasmtime::Result<()> {
        (self.link_types)(linker)?;
        let is_offered =
            |capability: &&Capability| capability.grant.is_none() || granted.contains(&capability.name);
        self.capabilities.iter().filter(is_offered).try_for_each(|capability| (capability.link)(linker))
    }

    fn outside(&self) -> Result<&Outside, String> {
        self.outside.get_or_init(|| read(self.text, self.world)).as_ref().map_err(Clone::clone)
    }
}

/// Whether components of this version are hosted, if they need only what the contract has.
#[must_use]
pub fn is_hosted(version: &str) -> bool {
    hosting(version).is_some()
}

fn hosting(version: &str) -> Option<&'static Version> {
    HOSTED.iter().find(|hosted| hosted.hosts(version)).copied()
}

/// The version and the interface that a name of the contract means; `None` if no version that is hosted has its number.
#[must_use]
pub fn named(name: &str) -> Option<(&'static Version, &str)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    Some((hosting(version)?, interface))
}

/// The version that a component answers in: that of its `check`.
#[must_use]
pub fn spoken(exports: &[String]) -> Option<&'static Version> {
    let mut named = exports.iter().filter_map(|name| named(name));
    named.find(|(_, interface)| *interface == CHECK).map(|(version, _)| version)
}

/// The name of an interface of the contract or of WASI without its version, if that version is hosted.
fn unversioned(name: &str) -> Option<&str> {
    let is_hosted = named(name).is_some() || wasi::base::is_hosted(name);
    is_hosted.then(|| name.split_once('@').map(|(name, _)| name)).flatten()
}

/// What a version, or WASI, has under this name, in any number of its track.
fn offered(
    name: &str,
    of: impl Fn(&'static Outside) -> &'static Interfaces,
) -> Result<Option<(&'static Outside, &'static Interface)>, String> {
    let Some(unversioned) = unversioned(name) else { return Ok(None) };
    let (outside, number) = match named(name) {
        Some((version, _)) => (version.outside()?, version.number),
        None => (wasi::base::outside()?, wasi::base::VERSION),
    };
    let interface = of(outside).get(&format!("{unversioned}@{number}"));
    Ok(interface.map(|interface| (outside, interface)))
}

/// Whether a component may import an interface of this name.
#[must_use]
pub fn offers(name: &str) -> bool {
    offered(name, |outside| &outside.imports).is_ok_and(|offered| offered.is_some())
}

/// Who lacks what is not in the interface of this name.
fn offering(name: &str) -> String {
    match named(name) {
        Some(_) => format!("farrier:probe@{CONTRACT}"),
        None => format!("WASI {}", wasi::base::VERSION),
    }
}

/// Compares the component's imports and exports with the contract's and WASI's, function by function. `imports` and
/// `exports` are the names of its interfaces.
///
/// # Errors
/// The first difference, or why the bytes are not a valid component.
pub fn compare(bytes: &[u8], imports: &[String], exports: &[String]) -> Result<(), String> {
    let found = Outside::of_component(types_of(bytes)?, imports, exports);
    for (name, wanted) in &found.imports {
        // An interface that neither has is refused by its name, as one that no probe gets.
        let Some((contract, offered)) = offered(name, |outside| &outside.imports)? else { continue };
        if let Some(resource) = wanted.resources.difference(&offered.resources).next() {
            return Err(format!(
                "it imports the resource `{resource}` of {name}, which {} lacks",
                offering(name)
            ));
        }
        for (function, wanted) in &wanted.functions {
            let offered = offered.functions.get(function).ok_or_else(|| {
                format!("it imports the function `{function}` of {name}, which {} lacks", offering(name))
            })?;
            let compared = Comparison { contract, found: &found }.function(*offered, *wanted);
            compared.map_err(|why| format!("it imports `{function}` of {name} with another type: {why}"))?;
        }
    }
    for (name, offered_here) in &found.exports {
        let Some((contract, wanted)) = offered(name, |outside| &outside.exports)? else { continue };
        for (function, wanted) in &wanted.functions {
            let offered = offered_here
                .functions
                .get(function)
                .ok_or_else(|| format!("its export {name} lacks the function `{function}`"))?;
            let compared = Comparison { contract, found: &found }.function(*wanted, *offered);
            compared.map_err(|why| format!("it exports `{function}` of {name} with another type: {why}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::probe::built_in::{built_in, built_in_names};
    use crate::probe::component::ComponentFile;

    #[test]
    fn versions() {
        for version in ["0.1.0", "0.1.3", "0.1.4000000000"] {
            assert!(is_hosted(version), "{version}");
        }
        for version in
            ["0.1", "0.1.", "0.1.03", "0.1.+3", "0.1.0-rc1", "0.1.0+x", "0.2.0", "1.1.0", "", "0.1.0@0.1.0"]
        {
            assert!(!is_hosted(version), "{version}");
        }
    }

    #[test]
    fn the_probes_that_ship_with_farrier_fit() {
        for name in built_in_names() {
            let bytes = built_in(name).expect("a probe");
            let file = ComponentFile::parse(bytes.clone()).expect("a component");
            assert_eq!(compare(&bytes, &file.imports, &file.exports), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_engine_compiles_what_is_accepted_here() {
        // Each is refused by the engine, so none may pass the door.
        for module in ["(memory i64 1)", "(memory 1 1 shared)", "(type (struct (field i32)))", "(tag)"] {
            let component =
                wat::parse_str(format!("(component (core module {module}))")).expect("valid text");
            assert!(compare(&component, &[], &[]).is_err(), "{module}");
        }
    }
}
