//! Compiling a Rust crate to a core module.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Code, Problem};

/// No WASI: what is built for it imports farrier's own interfaces and nothing else.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Small, because a component is compiled once more on the user's machine. Only where the workspace does not say
/// what a release is.
const SMALL: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];

/// A compiled crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// The package's name.
    pub package: String,
    /// The core module.
    pub path: PathBuf,
}

/// Runs cargo in a crate's folder. What it says goes to standard error.
///
/// # Errors
/// Cargo or the target is missing, the crate does not compile, or it makes no WebAssembly library.
pub fn module(folder: &Path) -> Result<Module, Problem> {
    expect_target(folder)?;
    let mut command = cargo(folder);
    command.args(["build", "--release", "--lib", "--target", TARGET]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    if !describes_release(folder) {
        command.envs(SMALL.iter().copied());
    }
    let output = command.output().map_err(|error| not_run("cargo", &error))?;
    if !output.status.success() {
        return Err(Problem::error(
            Code::ProbeBuild,
            format!("cargo did not build the crate: {}", output.status),
        )
        .hint("What cargo says above is the reason."));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut built =
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).filter_map(|line| library(&line));
    // Dependencies come before the crate itself.
    built.next_back().ok_or_else(|| {
        Problem::error(Code::ProbeBuild, "the crate makes no WebAssembly library")
            .hint("Write `crate-type = [\"cdylib\"]` under [lib] in its Cargo.toml.")
    })
}

fn library(message: &Value) -> Option<Module> {
    let target = message.get("target")?;
    let is_library = target.get("crate_types")?.as_array()?.iter().any(|kind| kind == "cdylib");
    if message.get("reason")? != "compiler-artifact" || !is_library {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    let path =
        files.map(PathBuf::from).find(|path| path.extension().is_some_and(|ending| ending == "wasm"))?;
    let name = target.get("name")?.as_str()?;
    Some(Module { package: name.replace('_', "-"), path })
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn not_run(program: &str, error: &io::Error) -> Problem {
    Problem::error(Code::ProbeBuild, format!("{program} cannot be run: {error}")).hint(
        "Install Rust, for example from https://rustup.rs, or pass a core module that is compiled already.",
    )
}

/// The target's standard library must be there: cargo's own complaint is about a crate `core`.
fn expect_target(folder: &Path) -> Result<(), Problem> {
    let rustc: OsString = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(&rustc)
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .output();
    let answer = asked.map_err(|error| not_run(&Path::new(&rustc).display().to_string(), &error))?;
    let libraries = String::from_utf8_lossy(&answer.stdout);
    if answer.status.success() && Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    Err(Problem::error(
        Code::ProbeBuild,
        format!("the Rust compiler here has no standard library for {TARGET}"),
    )
    .hint(format!("Run `rustup target add {TARGET}`, or name another compiler with RUSTC.")))
}

/// Whether the crate, or the workspace that it belongs to, says what a release is.
fn describes_release(folder: &Path) -> bool {
    let mut locate = cargo(folder);
    locate.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let Ok(found) = locate.output() else { return true };
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let manifest = std::fs::read_to_string(path).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    manifest.get("profile").and_then(|profiles| profiles.get("release")).is_some()
}
