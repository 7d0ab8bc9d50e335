//! A component from outside, as types: what its imports and exports are, without compiling anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentEntityType, ComponentFuncTypeId, ComponentItem, ResourceId,
};
use wasmparser::types::Types;
use wasmparser::{Parser, ValidPayload, Validator, WasmFeatures};

use super::unversioned;

/// What the engine compiles, as `engines` configures it.
fn features() -> WasmFeatures {
    let absent = [
        WasmFeatures::GC_TYPES,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::RELAXED_SIMD,
    ];
    let all = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    absent.into_iter().fold(all, WasmFeatures::difference)
}

/// Validates everything but the bodies of functions, which the compiler does.
pub fn types_of(bytes: &[u8]) -> Result<Types, String> {
    let mut validator = Validator::new_with_features(features());
    let mut types = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| error.to_string())?;
        // The last end is the outermost component's.
        if let ValidPayload::End(found) = validator.payload(&payload).map_err(|error| error.to_string())? {
            types = Some(found);
        }
    }
    types.ok_or_else(|| "it has no end".to_owned())
}

/// What an interface has, by name.
#[derive(Default)]
pub struct Interface {
    /// Its functions, methods among them.
    pub functions: BTreeMap<String, ComponentFuncTypeId>,
    /// Its resources, those of other interfaces that it uses among them.
    pub resources: BTreeSet<String>,
}

/// Interfaces by their full names.
pub type Interfaces = BTreeMap<String, Interface>;

/// A component from outside: its interfaces of the contract and of WASI.
pub struct Outside {
    /// All types.
    pub types: Types,
    /// Imported interfaces.
    pub imports: Interfaces,
    /// Exported interfaces.
    pub exports: Interfaces,
    /// Resources by the interface and name that they have.
    pub resources: HashMap<ResourceId, String>,
}

impl Outside {
    /// Of a component with these imports and exports, in its own order.
    pub fn of_component(types: Types, imports: &[String], exports: &[String]) -> Self {
        let item = |found: Option<&ComponentItem>, name: &String| Some((name.clone(), found?.ty));
        let imports = imports.iter().filter_map(|name| item(types.component_item_for_import(name), name));
        let exports = exports.iter().filter_map(|name| item(types.component_item_for_export(name), name));
        let (imports, exports) = (imports.collect(), exports.collect());
        Self::of(types, imports, exports)
    }

    fn of(
        types: Types,
        imports: Vec<(String, ComponentEntityType)>,
        exports: Vec<(String, ComponentEntityType)>,
    ) -> Self {
        let mut outside =
            Self { types, imports: BTreeMap::new(), exports: BTreeMap::new(), resources: HashMap::new() };
        for (name, item) in imports {
            let interface = outside.interface(&name, item);
            outside.imports.insert(name, interface);
        }
        for (name, item) in exports {
            let interface = outside.interface(&name, item);
            outside.exports.insert(name, interface);
        }
        outside
    }

    /// What an instance has; its resources are noted.
    fn interface(&mut self, name: &str, item: ComponentEntityType) -> Interface {
        let mut found = Interface::default();
        let (Some(interface), ComponentEntityType::Instance(id)) = (unversioned(name), item) else {
            return found;
        };
        for (name, item) in &self.types[id].exports {
            match item.ty {
                ComponentEntityType::Func(id) => {
                    found.functions.insert(name.clone(), id);
                }
                ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(resource), .. } => {
                    found.resources.insert(name.clone());
                    // Interfaces that use it come after the one that has it.
                    let name = || format!("{interface}/{name}");
                    self.resources.entry(resource.resource()).or_insert_with(name);
                }
                _ => {}
            }
        }
        found
    }
}

/// Reads a contract's text as a component's type, so that both sides have one form.
pub fn read(text: &str, name: &str) -> Result<Outside, String> {
    let mut resolve = wit_parser::Resolve::default();
    let encoded = resolve.push_source("package.wit", text).and_then(|id| wit_component::encode(&resolve, id));
    let types = types_of(&encoded.map_err(|error| error.to_string())?)?;
    let (imports, exports) =
        world(&types, name).ok_or_else(|| format!("the contract has no world `{name}`"))?;
    Ok(Outside::of(types, imports, exports))
}

type Items = Vec<(String, ComponentEntityType)>;

/// The imports and exports of the world with everything: the one export of a component type of that name.
fn world(types: &Types, name: &str) -> Option<(Items, Items)> {
    let package = types.component_item_for_export(name)?.ty;
    let ComponentEntityType::Type { referenced: ComponentAnyTypeId::Component(package), .. } = package else {
        return None;
    };
    let ComponentEntityType::Component(world) = types[package].exports.values().next()?.ty else {
        return None;
    };
    let world = &types[world];
    let imports = world.imports.iter().map(|(name, item)| (name.clone(), item.ty));
    let exports = world.exports.iter().map(|(name, item)| (name.clone(), item.ty));
    Some((imports.collect(), exports.collect()))
}
