//! A component from outside, as types: what its imports and exports are, without compiling anything.

use std::collections::{BTreeMap, HashMap};

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentEntityType, ComponentFuncTypeId, ComponentItem, ResourceId,
};
use wasmparser::types::Types;
use wasmparser::{Parser, ValidPayload, Validator, WasmFeatures};

use super::named;

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

/// The functions of an interface, by name.
pub type Functions = BTreeMap<String, ComponentFuncTypeId>;

/// A component from outside: its functions of this contract, by the full name of their interface.
pub struct Outside {
    /// All types.
    pub types: Types,
    /// Imported functions.
    pub imports: BTreeMap<String, Functions>,
    /// Exported functions.
    pub exports: BTreeMap<String, Functions>,
    /// Resources by the interface and name that they have.
    pub resources: HashMap<ResourceId, String>,
}

impl Outside {
    /// Of a component with these imports and exports.
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
            let functions = outside.functions(&name, item);
            outside.imports.insert(name, functions);
        }
        for (name, item) in exports {
            let functions = outside.functions(&name, item);
            outside.exports.insert(name, functions);
        }
        outside
    }

    /// The functions of an instance of this contract; its resources are noted.
    fn functions(&mut self, name: &str, item: ComponentEntityType) -> Functions {
        let mut functions = Functions::new();
        let (Some((_, interface)), ComponentEntityType::Instance(id)) = (named(name), item) else {
            return functions;
        };
        for (name, item) in &self.types[id].exports {
            match item.ty {
                ComponentEntityType::Func(id) => {
                    functions.insert(name.clone(), id);
                }
                ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(resource), .. } => {
                    self.resources.insert(resource.resource(), format!("{interface}/{name}"));
                }
                _ => {}
            }
        }
        functions
    }
}

/// Reads a contract's text as a component's type, so that both sides have one form.
pub fn read(text: &str, name: &str) -> Result<Outside, String> {
    let mut resolve = wit_parser::Resolve::default();
    let encoded = resolve.push_source("probe.wit", text).and_then(|id| wit_component::encode(&resolve, id));
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
