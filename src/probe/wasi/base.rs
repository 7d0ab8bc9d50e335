//! The base that language runtimes pull in: WASI 0.2 without HTTP. It is always offered, and inert: no files, no
//! environment, no arguments, no network, until a grant gives them something.
//!
//! The linker would name neither the interface nor the function that it lacks, and only once a component is compiled.

use std::sync::OnceLock;

use super::MEANINGS;
use crate::probe::contract::{self, Outside};

/// The version of WASI that is linked.
pub const VERSION: &str = "0.2.12";
/// The world with everything in it.
const WORLD: &str = "base";
const TEXT: &str = include_str!("base.wit");

/// Whether this is an interface of one of the base's packages, in any version 0.2.x: within it interfaces only grow.
#[must_use]
pub fn is_hosted(import: &str) -> bool {
    let parts = || {
        let (interface, version) = import.strip_prefix("wasi:")?.split_once('@')?;
        version.strip_prefix("0.2.")?.parse::<u32>().ok()?;
        Some(interface.split_once('/')?.0)
    };
    parts().is_some_and(|package| MEANINGS.iter().any(|(known, ..)| *known == package))
}

/// Whether this is an interface of the base.
#[must_use]
pub fn has(import: &str) -> bool {
    is_hosted(import) && contract::offers(import)
}

/// What `wasi::link` links, as a component sees it.
///
/// # Errors
/// Never, as the tests show: the text is farrier's own.
pub fn outside() -> Result<&'static Outside, String> {
    static READ: OnceLock<Result<Outside, String>> = OnceLock::new();
    READ.get_or_init(|| contract::read(TEXT, WORLD)).as_ref().map_err(Clone::clone)
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test")]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::{Component, Linker};
    use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
    use wit_parser::abi::{AbiVariant, WasmType};
    use wit_parser::{Resolve, WorldItem};

    use super::*;
    use crate::probe::store::HostState;
    use crate::probe::wasi;

    /// A component that imports every function of the base, with its type, and the names of its imports in their order.
    fn that_imports_everything() -> (Vec<u8>, Vec<String>) {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("base.wit", TEXT).expect("a package");
        let world = resolve.select_world(&[package], Some(WORLD)).expect("a world");
        let (mut imports, mut interfaces) = (String::new(), Vec::new());
        for (key, item) in &resolve.worlds[world].imports {
            let WorldItem::Interface { id, .. } = item else { panic!("{key:?} is no interface") };
            let module = resolve.name_world_key(key);
            interfaces.push(module.clone());
            for (name, function) in &resolve.interfaces[*id].functions {
                let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
                let words = |types: &[WasmType]| -> String {
                    let name_of = |kind: &WasmType| match kind {
                        WasmType::I64 | WasmType::PointerOrI64 => " i64",
                        WasmType::F32 => " f32",
                        WasmType::F64 => " f64",
                        _ => " i32",
                    };
                    types.iter().map(name_of).collect()
                };
                let (parameters, results) = (words(&signature.params), words(&signature.results));
                imports.push_str(&format!(
                    "(import \"{module}\" \"{name}\" (func (param{parameters}) (result{results})))\n"
                ));
            }
        }
        let memory = "(memory (export \"memory\") 1) (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) \
                      unreachable)";
        let mut module = wat::parse_str(format!("(module {imports} {memory})")).expect("valid text");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it fits");
        let encoder = ComponentEncoder::default();
        let bytes = encoder.module(&module).expect("a module").validate(true).encode().expect("a component");
        (bytes, interfaces)
    }

    #[test]
    fn the_linker_has_each_function_with_the_type_that_is_compared() {
        let (bytes, imports) = that_imports_everything();
        assert!(imports.len() > 20 && imports.iter().all(|import| has(import)), "{imports:?}");
        assert_eq!(contract::compare(&bytes, &imports, &[]), Ok(()));
        let engine = Engine::default();
        let mut linker: Linker<HostState> = Linker::new(&engine);
        wasi::link(&mut linker).expect("it links");
        let component = Component::new(&engine, &bytes).expect("it compiles");
        let prepared = linker.instantiate_pre(&component);
        assert!(prepared.is_ok(), "{:?}", prepared.err());
    }

    #[test]
    fn the_base_is_wasi_0_2_and_nothing_more() {
        for import in [
            "wasi:io/poll@0.2.0",
            "wasi:cli/exit@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.12",
            "wasi:filesystem/preopens@0.2.99",
        ] {
            assert!(has(import), "{import}");
        }
        for import in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023",
            "wasi:io/poll",
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:io@0.2.0",
            "host:io/poll@0.2.0",
        ] {
            assert!(!has(import), "{import}");
        }
    }
}
