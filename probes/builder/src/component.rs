//! Turning core modules into components, and what those import and export.

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::sections::{self, SETTINGS_SCHEMA};

/// The names of a component's interfaces, sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Interfaces {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Wraps a core module that wit-bindgen's code is in, and validates the result. What the module says about itself becomes
/// sections of the component.
///
/// # Errors
/// The module does not fit the world that it describes.
pub fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    let (described, module) = sections::taken_from(module)?;
    let component = ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    Ok(sections::written_to(&component, &described)?)
}

/// Reads what a component imports and exports.
///
/// # Errors
/// The bytes are not a component.
pub fn interfaces(component: &[u8]) -> Result<Interfaces> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("these bytes are a WIT package, not a component");
    };
    let world = resolve.worlds.get(world).context("the component describes no world")?;
    let mut imports: Vec<_> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    let mut exports: Vec<_> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    imports.sort();
    exports.sort();
    Ok(Interfaces { imports, exports })
}

/// Makes sure that a built-in imports what it needs and nothing else, and describes its settings.
///
/// # Errors
/// What it has, and what it should have.
pub fn expect(name: &str, component: &[u8], found: &Interfaces) -> Result<()> {
    let capabilities: &[&str] = match name {
        "tcp" => &["dial"],
        "amqp" | "grpc" | "http" | "mcp" | "memcached" | "mysql" | "nats" | "postgres" | "redis" | "smtp" => {
            &["dial", "tls"]
        }
        "log" => &["logs", "state"],
        "healthcheck" => &["health"],
        "exec" => &["exec"],
        "skip" => &[],
        _ => bail!("nobody said what the probe `{name}` may import"),
    };
    // `types` holds no functions: whatever exports `check` names its types.
    let imports = capabilities.iter().copied().chain(["types"]);
    let settings = (!matches!(name, "exec" | "healthcheck" | "skip")).then_some("settings");
    let described = sections::of(component);
    ensure!(described.contains_key("version"), "the probe `{name}` tells no version");
    let has_schema = described.contains_key(SETTINGS_SCHEMA);
    ensure!(has_schema == settings.is_some(), "the probe `{name}` has a schema without settings, or none");
    let exports = ["check"].into_iter().chain(settings);
    let qualified = |interface: &str| format!("farrier:probe/{interface}@0.1.2");
    let expected =
        Interfaces { imports: imports.map(qualified).collect(), exports: exports.map(qualified).collect() };
    ensure!(*found == expected, "the probe `{name}` has {found:?}, and should have {expected:?}");
    Ok(())
}
