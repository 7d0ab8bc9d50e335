//! What the target of a module lacks, as its standard library says where it is called all the same.
//!
//! Rust's for `wasm32-unknown-unknown` has every function, and those without anything behind them panic or fail. Their
//! texts are in a module exactly if it may call them, because the linker leaves everything else out.

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
use wasmparser::{Encoding, Import, Parser, Payload};

use crate::report::error::{Code, Problem};

/// What the standard library says, what it then lacks, and what to use instead.
const LACKS: [(&str, &str, &str); 2] = [
    (
        "time not implemented on this platform",
        "a clock: the call panics",
        "Use `Context::elapsed` and `Context::remaining`",
    ),
    (
        "operation not supported on this platform",
        "files, sockets and threads: the call fails",
        "Connect with `dial`",
    ),
];

/// A warning for each part of the standard library that a core module may call and that its target lacks.
#[must_use]
pub fn missing(module: &[u8]) -> Vec<Problem> {
    let mut found = [false; LACKS.len()];
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => return Vec::new(),
            Payload::ImportSection(imports) => {
                let has_wasi = |import: Import<'_>| import.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                if imports.into_imports().map_while(Result::ok).any(has_wasi) {
                    return Vec::new();
                }
            }
            Payload::DataSection(section) => {
                for segment in section.into_iter().map_while(Result::ok) {
                    for (found, (text, ..)) in found.iter_mut().zip(LACKS) {
                        *found |= contains(segment.data, text.as_bytes());
                    }
                }
            }
            _ => {}
        }
    }
    let told = found.into_iter().zip(LACKS).filter(|(found, _)| *found);
    told.map(|(_, (_, what, instead))| {
        Problem::warning(
            Code::ProbeBuild,
            format!("the probe may use what its target wasm32-unknown-unknown does not have: {what}"),
        )
        .hint(format!(
            "{instead}, or build the probe for wasm32-wasip2: `cargo build --release --target wasm32-wasip2`; its \
             output is a component."
        ))
    })
    .collect()
}

/// Whether bytes hold a text.
pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_may_call_in_vain_is_told() {
        for (text, words) in [
            ("x time not implemented on this platform y", Some("a clock")),
            ("operation not supported on this platform", Some("files, sockets")),
            ("nothing of the kind", None),
        ] {
            let module = format!("(module (memory 1) (data (i32.const 8) \"{text}\"))");
            let module = wat::parse_str(module).expect("valid text");
            let told = missing(&module);
            assert_eq!(told.len(), usize::from(words.is_some()), "{told:?}");
            assert!(
                told.iter().zip(words).all(|(problem, words)| problem.message.contains(words)),
                "{told:?}"
            );
        }
    }
}
