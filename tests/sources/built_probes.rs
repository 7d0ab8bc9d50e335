//! The built-in probes are committed as components. They must belong to the sources beside them.

#[path = "../../probes/builder/src/stamp.rs"]
#[allow(dead_code, reason = "building needs more of it than checking does")]
mod stamp;

#[path = "../../probes/builder/src/archive.rs"]
mod archive;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use stamp::{BUILT_INS, COMMAND, FOLDER, Stamp, digest};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_component_was_built_from_what_is_here() -> Result<()> {
    let folder = root().join(FOLDER);
    let stamp = Stamp::read(&folder)?;
    let mut changes = Vec::new();
    for name in BUILT_INS {
        let entry =
            stamp.probes.get(name).with_context(|| format!("the stamp lacks `{name}`: run `{COMMAND}`"))?;
        let component = fs::read(folder.join(format!("{name}.wasm")))?;
        for (what, stamped, found) in [
            ("its sources", &entry.sources, stamp::sources(root(), name)?),
            ("its locked dependencies", &entry.dependencies, stamp::dependencies(root(), name)?),
            ("the component itself", &entry.component, digest(&component)),
        ] {
            if *stamped != found {
                changes.push(format!("`{name}`: {what}"));
            }
        }
    }
    assert!(changes.is_empty(), "changed since the probes were built: {changes:#?}\nrun `{COMMAND}`");
    Ok(())
}

#[test]
fn nothing_else_lies_among_the_components() -> Result<()> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join(FOLDER))? {
        found.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let components = BUILT_INS.iter().map(|name| format!("{name}.wasm"));
    assert_eq!(found, components.chain([archive::FILE.to_owned(), "stamp.toml".to_owned()]).collect());
    Ok(())
}

#[test]
fn the_sdk_carries_the_contract_unchanged() -> Result<()> {
    let original = fs::read_to_string(root().join("wit/probe.wit"))?;
    let copy = fs::read_to_string(root().join("probes/sdk/wit/probe.wit"))?;
    assert!(original == copy, "run `cp wit/probe.wit probes/sdk/wit/`, then `{COMMAND}`");
    Ok(())
}

#[test]
fn new_projects_get_the_sdk_as_it_is() -> Result<()> {
    let packed = fs::read(root().join(FOLDER).join(archive::FILE))?;
    assert!(packed == archive::sdk(root())?, "the SDK changed since it was packed: run `{COMMAND}`");
    Ok(())
}
