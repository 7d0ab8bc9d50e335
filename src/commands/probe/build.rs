//! `probe build`: from a crate or a core module to a component that farrier hosts.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::inspect::{definition_lines, human_size};
use crate::cli::ProbeBuild;
use crate::commands::data::print;
use crate::definition::escape;
use crate::error::{Code, Failure, Problem};
use crate::exit;
use crate::probe::capabilities::capabilities;
use crate::probe::catalogue::not_a_probe;
use crate::probe::component::ComponentFile;
use crate::probe::limits::COMPONENT_BYTES;
use crate::probe::{compile, encode};

/// Builds it, makes sure that it is a probe, and prints what a definition needs.
pub fn build(options: &ProbeBuild) -> Result<u8, Failure> {
    let (module, default) = if options.path.is_dir() {
        let module = compile::module(&options.path)?;
        (module.path, options.path.join(format!("{}.wasm", module.package)))
    } else {
        (options.path.clone(), options.path.with_extension("component.wasm"))
    };
    let out = options.out.clone().unwrap_or(default);
    let bytes = read(&module).map_err(|reason| {
        unusable(&module, &reason).hint("Name the folder of a Rust crate, or a core module's file.")
    })?;
    let component = encode::component(bytes).map_err(|error| {
        let hint = match error {
            encode::EncodeError::NoWorld => {
                "Build it with the crate farrier-probe, or with wit-bindgen and the package in `wit/`."
            }
            _ => "Name the folder of a Rust crate, or a core module for wasm32-unknown-unknown or WASI preview 1.",
        };
        unusable(&module, &error.to_string()).hint(hint)
    })?;
    let file = ComponentFile::parse(component)
        .map_err(|error| not_a_probe(&module.display().to_string(), &error))?;
    write(&out, &file.bytes)?;
    let words: Vec<&str> = capabilities(&file).iter().map(|capability| capability.word).collect();
    let imports = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let name = out.file_name().unwrap_or_default().display().to_string();
    print(&format!(
        "{}: {} ({} bytes), imports {imports}\n\nPut it beside a definition, and write there:\n\n{}",
        escape(&out.display().to_string()),
        human_size(&file),
        file.bytes.len(),
        definition_lines(&file, &format!("./{}", escape(&name))),
    ));
    Ok(exit::SUCCESS)
}

fn unusable(path: &Path, reason: &str) -> Problem {
    Problem::error(
        Code::ProbeBuild,
        format!("`{}` cannot be made into a component: {reason}", path.display()),
    )
}

/// Reads a module, without ever waiting on a pipe or a device.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| error.to_string())?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if found.len() > COMPONENT_BYTES {
        return Err(format!("it is larger than {} MiB", COMPONENT_BYTES >> 20));
    }
    let mut bytes = Vec::new();
    file.take(COMPONENT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Writes beside the target and renames: a launch that reads meanwhile sees all or nothing.
fn write(path: &PathBuf, bytes: &[u8]) -> Result<(), Problem> {
    let mut beside = path.clone();
    beside.as_mut_os_string().push(".new");
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        drop(std::fs::remove_file(&beside));
        Problem::error(Code::ProbeBuild, format!("`{}` cannot be written: {error}", path.display()))
            .hint("Name a file in a folder that you may write to with `--out`.")
    })
}
