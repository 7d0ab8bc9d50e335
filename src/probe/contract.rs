//! The contract with guests: which versions of `farrier:probe` this host accepts, and whether the types of a
//! component's imports and exports are the contract's. Nothing is compiled for it.
//!
//! wasmtime's linker resolves an import by its semver track: `farrier:probe/dial@0.1.3` meets what is linked as
//! `@0.1.0`, and an export of 0.1.3 is found under the name of 0.1.0. What then decides are the functions that the
//! component names, and their types. This file compares the same before any container is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use wasmparser::component_types::{
    AliasableResourceId, ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId,
    ComponentItem, ComponentValType, ResourceId,
};
use wasmparser::types::Types;
use wasmparser::{Parser, PrimitiveValType, ValidPayload, Validator, WasmFeatures};

use super::wasi_base;

/// The version that this host speaks.
pub const CONTRACT: &str = "0.1.0";
/// Its semver track: within it, functions and interfaces are only added.
const TRACK: &str = "0.1.";
/// The package, as it begins the name of each of its interfaces.
pub const PACKAGE: &str = "farrier:probe/";
/// The world with everything in it.
const WORLD: &str = "complete";
const TEXT: &str = include_str!("../../wit/probe.wit");

/// Whether components of this version are hosted, if they need only what [`CONTRACT`] has.
#[must_use]
pub fn is_hosted(version: &str) -> bool {
    let patch = version.strip_prefix(TRACK).unwrap_or_default();
    patch.parse::<u32>().is_ok_and(|number| number.to_string() == patch)
}

/// The interface that a name of this contract means, in any version that is hosted.
#[must_use]
pub fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    is_hosted(version).then_some(interface)
}

/// Compares the component's imports and exports with the contract's, function by function, and finds functions that it
/// imports from WASI in vain. `imports` and `exports` are
/// the names of its interfaces.
///
/// # Errors
/// The first difference, or why the bytes are not a valid component.
pub fn compare(bytes: &[u8], imports: &[String], exports: &[String]) -> Result<(), String> {
    let contract = contract()?;
    let types = types_of(bytes)?;
    wasi_base::compare(&types, imports)?;
    let found = Outside::of_component(types, imports, exports);
    for (name, wanted) in &found.imports {
        // An interface that the contract lacks is refused by its name, as one that no probe gets.
        let Some(offered) = contract.imported(name) else { continue };
        for (function, wanted) in wanted {
            let offered = offered.get(function).ok_or_else(|| {
                format!(
                    "it imports the function `{function}` of {name}, which farrier:probe@{CONTRACT} lacks"
                )
            })?;
            let compared = Comparison { contract, found: &found }.function(*offered, *wanted);
            compared.map_err(|why| format!("it imports `{function}` of {name} with another type: {why}"))?;
        }
    }
    for (name, offered) in &found.exports {
        let Some(wanted) = contract.exported(name) else { continue };
        for (function, wanted) in wanted {
            let offered = offered
                .get(function)
                .ok_or_else(|| format!("its export {name} lacks the function `{function}`"))?;
            let compared = Comparison { contract, found: &found }.function(*wanted, *offered);
            compared.map_err(|why| format!("it exports `{function}` of {name} with another type: {why}"))?;
        }
    }
    Ok(())
}

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
fn types_of(bytes: &[u8]) -> Result<Types, String> {
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
type Functions = BTreeMap<String, ComponentFuncTypeId>;

/// A component from outside: its functions of this contract, by the full name of their interface.
struct Outside {
    types: Types,
    imports: BTreeMap<String, Functions>,
    exports: BTreeMap<String, Functions>,
    /// Resources by the interface and name that they have.
    resources: HashMap<ResourceId, String>,
}

impl Outside {
    fn of_component(types: Types, imports: &[String], exports: &[String]) -> Self {
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
        let (Some(interface), ComponentEntityType::Instance(id)) = (interface(name), item) else {
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

    fn imported(&self, name: &str) -> Option<&Functions> {
        self.imports.get(&format!("{PACKAGE}{}@{CONTRACT}", interface(name)?))
    }

    fn exported(&self, name: &str) -> Option<&Functions> {
        self.exports.get(&format!("{PACKAGE}{}@{CONTRACT}", interface(name)?))
    }
}

fn contract() -> Result<&'static Outside, String> {
    static READ: OnceLock<Result<Outside, String>> = OnceLock::new();
    READ.get_or_init(read_contract).as_ref().map_err(Clone::clone)
}

/// Reads `wit/` as a component's type, so that both sides have one form.
fn read_contract() -> Result<Outside, String> {
    let mut resolve = wit_parser::Resolve::default();
    let encoded = resolve.push_source("probe.wit", TEXT).and_then(|id| wit_component::encode(&resolve, id));
    let types = types_of(&encoded.map_err(|error| error.to_string())?)?;
    let (imports, exports) = world(&types).ok_or_else(|| format!("the contract has no world `{WORLD}`"))?;
    Ok(Outside::of(types, imports, exports))
}

type Items = Vec<(String, ComponentEntityType)>;

/// The imports and exports of the world with everything: the one export of a component type of that name.
fn world(types: &Types) -> Option<(Items, Items)> {
    let package = types.component_item_for_export(WORLD)?.ty;
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

/// Compares types as wasmtime does when it links: by structure, with the names of fields and cases, without those of
/// types and parameters.
struct Comparison<'a> {
    contract: &'a Outside,
    found: &'a Outside,
}

impl Comparison<'_> {
    fn function(&self, wanted: ComponentFuncTypeId, found: ComponentFuncTypeId) -> Result<(), String> {
        let (wanted, found) = (&self.contract.types[wanted], &self.found.types[found]);
        if found.async_ {
            return Err("it is asynchronous".to_owned());
        }
        if wanted.params.len() != found.params.len() {
            return Err(format!(
                "it has {} parameters in place of {}",
                found.params.len(),
                wanted.params.len()
            ));
        }
        for ((name, wanted), (_, found)) in wanted.params.iter().zip(&found.params) {
            self.value(wanted, found).map_err(|why| format!("parameter `{name}`: {why}"))?;
        }
        self.optional(wanted.result.as_ref(), found.result.as_ref()).map_err(|why| format!("result: {why}"))
    }

    fn optional(
        &self,
        wanted: Option<&ComponentValType>,
        found: Option<&ComponentValType>,
    ) -> Result<(), String> {
        match (wanted, found) {
            (None, None) => Ok(()),
            (Some(wanted), Some(found)) => self.value(wanted, found),
            (Some(wanted), None) => Err(format!("nothing in place of {}", kind(self.contract, wanted))),
            (None, Some(found)) => Err(format!("{} in place of nothing", kind(self.found, found))),
        }
    }

    fn value(&self, wanted: &ComponentValType, found: &ComponentValType) -> Result<(), String> {
        use ComponentDefinedType as Defined;
        let differs =
            || Err(format!("{} in place of {}", kind(self.found, found), kind(self.contract, wanted)));
        let (wanted, found) = match (defined(self.contract, wanted), defined(self.found, found)) {
            (Ok(wanted), Ok(found)) => (wanted, found),
            (Err(wanted), Err(found)) if wanted == found => return Ok(()),
            _ => return differs(),
        };
        match (wanted, found) {
            (Defined::Record(wanted), Defined::Record(found)) => {
                let wanted: Vec<_> =
                    wanted.fields.iter().map(|(name, held)| (name.as_str(), Some(held))).collect();
                let found: Vec<_> =
                    found.fields.iter().map(|(name, held)| (name.as_str(), Some(held))).collect();
                self.named("field", &wanted, &found)
            }
            (Defined::Variant(wanted), Defined::Variant(found)) => {
                let wanted: Vec<_> =
                    wanted.cases.iter().map(|(name, case)| (name.as_str(), case.ty.as_ref())).collect();
                let found: Vec<_> =
                    found.cases.iter().map(|(name, case)| (name.as_str(), case.ty.as_ref())).collect();
                self.named("case", &wanted, &found)
            }
            (Defined::Enum(wanted), Defined::Enum(found)) => {
                let wanted: Vec<_> = wanted.iter().map(|name| (name.as_str(), None)).collect();
                let found: Vec<_> = found.iter().map(|name| (name.as_str(), None)).collect();
                self.named("case", &wanted, &found)
            }
            (Defined::List { element: wanted, .. }, Defined::List { element: found, .. })
            | (Defined::Option { ty: wanted, .. }, Defined::Option { ty: found, .. }) => {
                self.value(wanted, found)
            }
            (
                Defined::Result { ok: wanted, err: wanted_error, .. },
                Defined::Result { ok: found, err: found_error, .. },
            ) => {
                self.optional(wanted.as_ref(), found.as_ref())?;
                self.optional(wanted_error.as_ref(), found_error.as_ref())
                    .map_err(|why| format!("error: {why}"))
            }
            (Defined::Own(wanted), Defined::Own(found))
            | (Defined::Borrow(wanted), Defined::Borrow(found))
                if self.contract.resource(*wanted).is_some()
                    && self.contract.resource(*wanted) == self.found.resource(*found) =>
            {
                Ok(())
            }
            // The contract has no other kind of type.
            _ => differs(),
        }
    }

    /// Fields or cases, which have an order.
    fn named(
        &self,
        part: &str,
        wanted: &[(&str, Option<&ComponentValType>)],
        found: &[(&str, Option<&ComponentValType>)],
    ) -> Result<(), String> {
        let has = |parts: &[(&str, Option<&ComponentValType>)], name: &str| {
            parts.iter().any(|(known, _)| *known == name)
        };
        if let Some((name, _)) = wanted.iter().find(|(name, _)| !has(found, name)) {
            return Err(format!("it lacks the {part} `{name}`"));
        }
        if let Some((name, _)) = found.iter().find(|(name, _)| !has(wanted, name)) {
            return Err(format!("it has the {part} `{name}`, which the contract lacks"));
        }
        for ((name, wanted), (at_its_place, found)) in wanted.iter().zip(found) {
            if name != at_its_place {
                return Err(format!("the {part} `{at_its_place}` stands in the place of `{name}`"));
            }
            self.optional(*wanted, *found).map_err(|why| format!("{part} `{name}`: {why}"))?;
        }
        Ok(())
    }
}

impl Outside {
    fn resource(&self, id: AliasableResourceId) -> Option<&str> {
        self.resources.get(&id.resource()).map(String::as_str)
    }
}

/// The type behind a value, or the primitive type that it is.
fn defined<'o>(
    outside: &'o Outside,
    value: &ComponentValType,
) -> Result<&'o ComponentDefinedType, PrimitiveValType> {
    match value {
        ComponentValType::Primitive(primitive) => Err(*primitive),
        ComponentValType::Type(id) => match &outside.types[*id] {
            ComponentDefinedType::Primitive(primitive) => Err(*primitive),
            found => Ok(found),
        },
    }
}

/// What kind of type it is, in a word or two.
fn kind(outside: &Outside, value: &ComponentValType) -> String {
    use ComponentDefinedType as Defined;
    let word = match defined(outside, value) {
        Err(primitive) => return format!("`{primitive}`"),
        Ok(Defined::Record(_)) => "a record",
        Ok(Defined::Variant(_)) => "a variant",
        Ok(Defined::List { .. }) => "a list",
        Ok(Defined::Tuple(_)) => "a tuple",
        Ok(Defined::Flags(_)) => "flags",
        Ok(Defined::Enum(_)) => "an enum",
        Ok(Defined::Option { .. }) => "an option",
        Ok(Defined::Result { .. }) => "a result",
        Ok(Defined::Own(_) | Defined::Borrow(_)) => "a resource",
        Ok(_) => "another type",
    };
    word.to_owned()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::probe::catalogue::{built_in, built_in_names};
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
            let file = ComponentFile::parse(bytes.to_vec()).expect("a component");
            assert_eq!(compare(bytes, &file.imports, &file.exports), Ok(()), "{name}");
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
