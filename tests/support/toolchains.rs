//! Compilers for probes, and what they need of the user's surroundings.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::engine::build_directory;
use super::run::Run;
use super::skipping::{REQUIRE_CLANG, REQUIRE_GO, REQUIRE_WASM, skip_unless_required};

/// The target of probes without WASI.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Compiling a project's dependencies on a slow machine takes minutes.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// The compiler that has the target. Where none has, that is said loudly, or fails under the variable's value 1.
pub fn guest_compiler() -> Option<OsString> {
    let compiler =
        ["GUEST_RUSTC", "RUSTC"].iter().find_map(std::env::var_os).unwrap_or_else(|| "rustc".into());
    let asked = Command::new(&compiler).args(["--print", "target-libdir", "--target", TARGET]).output();
    let has = asked.is_ok_and(|answer| {
        answer.status.success() && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()
    });
    if !has {
        let why = format!("{} has no {TARGET}", Path::new(&compiler).display());
        skip_unless_required(REQUIRE_WASM, &why);
    }
    has.then_some(compiler)
}

/// Runs in the project with the user's own caches and tools; what it compiles is kept for the next time.
pub fn own(run: Run, project: &Path) -> Run {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let mut run = run.directory(project).env("HOME", home).timeout(PATIENCE);
    run = run.env("CARGO_TARGET_DIR", build_directory().join("projects"));
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_JOBS", "PIP_INDEX_URL"] {
        if let Some(value) = std::env::var_os(name) {
            run = run.env(name, value);
        }
    }
    run
}

/// Whether this machine turns C into components: with clang, a linker and a C library for WASI, and wit-bindgen. Where it does
/// not, that is said loudly, or fails under the variable's value 1.
pub fn compiles_c() -> bool {
    let program = "int x; int *entry(void) { return &x; }";
    let script = format!(
        "echo '{program}' | clang --target=wasm32-wasi -mexec-model=reactor -x c - -o /dev/null && wit-bindgen c --help"
    );
    succeeds(&script, REQUIRE_CLANG, "C", "mqtt-c")
}

/// Whether this machine turns Go into components: with Go, wit-bindgen and wasm-tools. Otherwise as for C.
pub fn compiles_go() -> bool {
    succeeds(
        "go version && wit-bindgen go --help && wasm-tools component embed --help",
        REQUIRE_GO,
        "Go",
        "beanstalkd-go",
    )
}

fn succeeds(script: &str, switch: &str, language: &str, example: &str) -> bool {
    let tried = Command::new("sh").args(["-c", script]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let named = format!("examples/probes/{example}/README.md names the packages.");
    skip_unless_required(
        switch,
        &format!("{language} does not become a component here: {}\n{named}", why.trim()),
    );
    false
}
