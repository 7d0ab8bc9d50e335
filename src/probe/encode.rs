//! From a core module, as compilers make it, to a component.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use super::sections::{self, Sections};

/// Why bytes cannot become a component.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Neither a module nor a component.
    #[error("it is not WebAssembly")]
    NotWebAssembly,
    /// Truncated or malformed.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Nothing in it says what it imports and exports as a component.
    #[error("it does not say which world it is made for")]
    NoWorld,
    /// It does not fit the world that it names.
    #[error("{0}")]
    DoesNotFit(String),
}

/// Wraps a core module that describes its world; a component stays as it is. Calls of WASI preview 1 become
/// calls of WASI 0.2. What the module says about itself, and `additions`, become sections of the component.
///
/// # Errors
/// Why that is impossible.
pub fn component(bytes: Vec<u8>, additions: Sections<'_>) -> Result<Vec<u8>, EncodeError> {
    let damaged = |error: wasmparser::BinaryReaderError| EncodeError::Damaged(error.to_string());
    if !bytes.starts_with(b"\0asm") {
        return Err(EncodeError::NotWebAssembly);
    }
    let (mut preview1, mut world, mut done) = (false, false, false);
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { encoding: Encoding::Component, .. } => done = true,
            Payload::ImportSection(imports) if !done => {
                for import in imports.into_imports() {
                    preview1 |= import.map_err(damaged)?.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                }
            }
            Payload::CustomSection(section) => world |= section.name().starts_with("component-type"),
            _ => {}
        }
    }
    if done && additions.is_empty() {
        return Ok(bytes);
    }
    if done {
        return sections::written_to(&bytes, &additions).map_err(damaged);
    }
    if !world {
        return Err(EncodeError::NoWorld);
    }
    let (mut described, module) = sections::taken_from(&bytes).map_err(damaged)?;
    described.extend(additions);
    let encode = || {
        let mut encoder = ComponentEncoder::default();
        if preview1 {
            let adapter = WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
            encoder = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)?;
        }
        encoder.validate(true).module(&module)?.encode()
    };
    let component = encode().map_err(|error: anyhow::Error| {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        EncodeError::DoesNotFit(causes.join(": ").replace('\n', " "))
    })?;
    sections::written_to(&component, &described).map_err(damaged)
}
