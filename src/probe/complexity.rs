//! What compiling a component would cost, from its bytes alone.
//!
//! The compiler takes time and memory by what code means, not by its size: a call of a function with a thousand
//! results is two bytes, and a component that holds the one before it twice is instantiated 2ⁿ times. So that is
//! counted first, and what is beyond any language's output is refused before the compiler sees it.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Parser, Payload, TypeRef,
};

mod code;

use code::Signature;

/// Bytes of one function's body. Python's interpreter has up to 427 thousand, and 5 million values in 13 thousand functions.
const FUNCTION_BYTES: u64 = 1 << 20;
/// Values that the compiler tracks in one function, which take it up to 400 bytes each. Python has up to 167 thousand.
const FUNCTION_VALUES: u64 = 512 << 10;
/// Values that it tracks in all functions.
const VALUES: u64 = 16 << 20;
/// Functions of all core modules.
const FUNCTIONS: u64 = 100_000;
/// Bytes of everything but code, data and names.
const DECLARATIONS: u64 = 4 << 20;
/// Segments of data.
const DATA_SEGMENTS: u64 = 100_000;
/// Instances and functions that pass between components, each as often as its component is instantiated.
const INSTANCES: u64 = 20_000;
/// Modules and components in each other. Tools write three.
const NESTING: u64 = 100;
/// What a component comes to that is handed over as a value, which no tool writes: more than is allowed.
const UNKNOWN: u64 = INSTANCES + 1;

/// More than any compiler of a language writes. The sentence says of what.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("compiling it would be too expensive: it has {found} {what}, and at most {limit} are allowed")]
pub struct TooComplex {
    what: &'static str,
    found: u64,
    limit: u64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Complexity {
    /// Bytes of the largest function.
    pub function_bytes: u64,
    /// Values of the function with most of them.
    pub function_values: u64,
    /// Values of all functions.
    pub values: u64,
    /// Functions with a body.
    pub functions: u64,
    /// Bytes of sections with neither code nor data nor names.
    pub declarations: u64,
    /// Segments of data.
    pub data_segments: u64,
    /// Modules and components in each other.
    pub nesting: u64,
    /// Instances that the whole comes to.
    pub instances: u64,
}

/// What is being read: the modules and components that hold each other.
enum Frame {
    Module(Module),
    Component(Nested),
}

/// A core module, as far as its functions need it.
#[derive(Default)]
struct Module {
    types: Vec<Signature>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    imported: usize,
    bodies: usize,
}

/// A component: what each one that it can name comes to, and what it comes to itself so far.
#[derive(Default)]
struct Nested {
    components: Vec<u64>,
    instances: u64,
}

impl Complexity {
    /// Counts, at most to the first excess: reading must not take much either.
    ///
    /// # Errors
    /// When the bytes are not WebAssembly. What is well-formed may still be invalid.
    pub fn of(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut counted = Self::default();
        let mut frames: Vec<Frame> = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            match &payload {
                Payload::Version { encoding: Encoding::Module, .. } => {
                    frames.push(Frame::Module(Module::default()));
                }
                Payload::Version { encoding: Encoding::Component, .. } => {
                    frames.push(Frame::Component(Nested::default()));
                }
                Payload::End(_) => close(&mut counted, &mut frames),
                // What modules, components and code hold is counted by itself; names cost nothing.
                Payload::ModuleSection { .. }
                | Payload::ComponentSection { .. }
                | Payload::CodeSectionStart { .. }
                | Payload::CodeSectionEntry(_)
                | Payload::CustomSection(_) => {}
                Payload::DataSection(section) => {
                    counted.data_segments = counted.data_segments.saturating_add(section.count().into());
                }
                other => {
                    let length = other.as_section().map_or(0, |(_, range)| range.len() as u64);
                    counted.declarations = counted.declarations.saturating_add(length);
                }
            }
            counted.nesting = counted.nesting.max(frames.len() as u64);
            if counted.excess().is_some() {
                break;
            }
            match frames.last_mut() {
                Some(Frame::Module(module)) => module.read(&mut counted, payload)?,
                Some(Frame::Component(_)) => Nested::read(&mut frames, payload)?,
                None => {}
            }
        }
        Ok(counted)
    }

    /// What is beyond its limit; the first where several are.
    #[must_use]
    pub fn excess(&self) -> Option<TooComplex> {
        let counted = [
            ("bytes in one function", self.function_bytes, FUNCTION_BYTES),
            ("values in one function", self.function_values, FUNCTION_VALUES),
            ("values in all functions", self.values, VALUES),
            ("functions", self.functions, FUNCTIONS),
            ("bytes of declarations", self.declarations, DECLARATIONS),
            ("data segments", self.data_segments, DATA_SEGMENTS),
            ("nested modules and components", self.nesting, NESTING),
            ("instances and functions between components", self.instances, INSTANCES),
        ];
        let above = counted.into_iter().find(|(_, found, limit)| found > limit)?;
        let (what, found, limit) = above;
        Some(TooComplex { what, found, limit })
    }
}

/// A module or component ends: the one around it can now instantiate it.
fn close(counted: &mut Complexity, frames: &mut Vec<Frame>) {
    if let Some(Frame::Component(ended)) = frames.pop() {
        let instances = ended.instances.saturating_add(1);
        match frames.last_mut() {
            Some(Frame::Component(around)) => around.components.push(instances),
            _ => counted.instances = instances,
        }
    }
}

impl Module {
    fn read(&mut self, counted: &mut Complexity, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    self.types.extend(group?.into_types().map(|kind| Signature::of(&kind)));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import?.ty {
                        self.functions.push(index);
                        self.imported += 1;
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    self.functions.push(index?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let values = code::values(self, &body)?;
                self.bodies += 1;
                counted.functions += 1;
                counted.function_bytes = counted.function_bytes.max(body.range().len() as u64);
                counted.function_values = counted.function_values.max(values);
                counted.values = counted.values.saturating_add(values);
            }
            _ => {}
        }
        Ok(())
    }

    /// The signature of a type; empty where there is no such type, which the compiler will say.
    fn signature(&self, index: u32) -> Signature {
        self.types.get(index as usize).copied().unwrap_or_default()
    }

    /// The signature of a function.
    fn function(&self, index: u32) -> Signature {
        self.functions.get(index as usize).map(|index| self.signature(*index)).unwrap_or_default()
    }
}

impl Nested {
    /// Reads one part of the innermost component.
    fn read(frames: &mut [Frame], payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        let mut instances = 0_u64;
        let mut components = Vec::new();
        let named = |frames: &[Frame], outwards: u32, index: u32| {
            let around = frames.iter().rev().nth(outwards as usize);
            let Some(Frame::Component(around)) = around else { return 1 };
            around.components.get(index as usize).copied().unwrap_or(1)
        };
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section {
                    instances += u64::from(matches!(instance?, Instance::Instantiate { .. }));
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        instances = instances.saturating_add(named(frames, 0, component_index));
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => instances += u64::from(section.count()),
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    match alias? {
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                            components.push(named(frames, count, index));
                        }
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                            components.push(UNKNOWN);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                        components.push(UNKNOWN);
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        components.push(named(frames, 0, export.index));
                    }
                }
            }
            _ => {}
        }
        if let Some(Frame::Component(innermost)) = frames.last_mut() {
            innermost.instances = innermost.instances.saturating_add(instances);
            innermost.components.extend(components);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
