//! Builds the built-in probes into components, and stamps what they were built from.
//!
//! The components are committed, so that `cargo install farrier` needs no WebAssembly target. Run this after a
//! change to the probes, their SDK or the contract; a test says when that is needed.

mod archive;
mod compile;
mod component;
#[path = "../../../src/probe/sections.rs"]
mod sections;
mod stamp;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::component::Interfaces;
use crate::stamp::{BUILT_INS, Entry, Stamp, digest};

/// Builds farrier's built-in probes.
///
/// Needs a rustc that has the wasm32-unknown-unknown target (`rustup target add wasm32-unknown-unknown`): the
/// usual one, or the one that `GUEST_RUSTC` names.
#[derive(Parser)]
struct Arguments {
    /// Where the components and their stamp go [default: probes/built]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write nothing: build afresh, and compare with what is there
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let out = arguments.out.unwrap_or_else(|| root.join(stamp::FOLDER));
    let guests = compile::guests(&root)?;

    let mut built = BTreeMap::new();
    let mut stamp = Stamp::default();
    for name in BUILT_INS {
        let context = || format!("the probe `{name}`");
        let module = fs::read(guests.module(name)).with_context(context)?;
        let component = component::from_module(&module).with_context(context)?;
        let interfaces = component::interfaces(&component).with_context(context)?;
        component::expect(name, &component, &interfaces)?;
        guests.expect_no_trace(name, &component)?;
        let entry = Entry {
            rustc: guests.rustc.clone(),
            sources: stamp::sources(&root, name)?,
            dependencies: stamp::dependencies(&root, name)?,
            component: digest(&component),
        };
        stamp.probes.insert(name.to_owned(), entry);
        built.insert(name, (component, interfaces));
    }

    if arguments.check {
        let packed = fs::read(out.join(archive::FILE)).unwrap_or_default() == archive::sdk(&root)?;
        println!(
            "{}: {}",
            archive::FILE,
            if packed { "holds the SDK" } else { "DOES NOT HOLD the SDK as it is" }
        );
        return Ok(if agrees(&out, &stamp, &built)? && packed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for (name, (component, interfaces)) in &built {
        let path = out.join(format!("{name}.wasm"));
        fs::write(&path, component).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{name}: {} bytes, imports {}", component.len(), interfaces.imports.join(" "));
    }
    fs::write(out.join(archive::FILE), archive::sdk(&root)?).context("cannot write the SDK's archive")?;
    stamp.write(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Says how the components in `folder` compare with those just built. Their bytes may differ, since they
/// depend on the compiler's version; what they were built from, and what they import and export, may not.
fn agrees(folder: &Path, fresh: &Stamp, built: &BTreeMap<&str, (Vec<u8>, Interfaces)>) -> Result<bool> {
    let committed = Stamp::read(folder)?;
    let mut agrees = true;
    for (&name, (component, interfaces)) in built {
        let path = folder.join(format!("{name}.wasm"));
        let there = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let same_inputs = committed.probes.get(name).zip(fresh.probes.get(name)).is_some_and(|(old, new)| {
            old.sources == new.sources
                && old.dependencies == new.dependencies
                && old.component == digest(&there)
        });
        let same_interfaces = component::interfaces(&there)? == *interfaces;
        agrees &= same_inputs && same_interfaces;
        println!(
            "{name}: {}; {}; {}",
            if same_inputs { "belongs to its sources" } else { "DOES NOT BELONG to its sources" },
            if same_interfaces { "same imports and exports" } else { "OTHER imports or exports" },
            if there == *component { "same bytes" } else { "other bytes" },
        );
    }
    if !agrees {
        println!("to build them anew: {}", stamp::COMMAND);
    }
    Ok(agrees)
}
