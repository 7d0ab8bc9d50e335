//! Projects that `farrier probe new` makes: as generated they pass their own test, build, and tell a server that
//! answers from one that does not. Needs cargo and its registry; the component needs a WebAssembly target, of the
//! usual compiler or of the one that `GUEST_RUSTC` names, and Python its package index.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod support;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::engine::build_directory;
use support::skipping::{REQUIRE_PYPI, REQUIRE_WASM, skip_unless_required};
use support::{Run, Scene};

const TARGET: &str = "wasm32-unknown-unknown";
/// Compiling a project's dependencies on a slow machine takes minutes.
const PATIENCE: Duration = Duration::from_mins(10);

/// The compiler that has the target. Where none has, that is said loudly, or fails under the variable's value 1.
fn guest_compiler() -> Option<OsString> {
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
fn own(run: Run, project: &Path) -> Run {
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

/// A server that greets each connection, as long as the test runs.
fn server(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let mut heard = [0; 64];
            let _ = connection.read(&mut heard).and_then(|_| connection.write_all(greeting));
        }
    });
    address
}

/// Tries the component on servers that answer as expected, otherwise, and with settings that it does not have.
fn try_it(scene: &Scene, component: &Path) {
    let good = r#"{"send":"hello\r\n","expect":"welcome"}"#;
    let check = |settings: &str, greeting| {
        let target = server(greeting);
        let words = ["--target", &target, "--settings", settings];
        scene.farrier(["probe", "check"]).arg(component).args(words).timeout(PATIENCE).output()
    };
    let outcome = check(good, b"220 welcome\r\n").assert_code(0);
    assert!(outcome.stdout().contains("wrote 7 bytes, read 13 bytes"), "{outcome}");
    let outcome = check(good, b"503 starting\r\n").assert_code(1);
    assert!(outcome.stdout().contains("pending: the answer"), "{outcome}");
    let outcome = check(r#"{"sned":"x"}"#, b"").assert_code(2);
    assert!(outcome.stderr().contains("[probe-settings]") && outcome.stderr().contains("sned"), "{outcome}");
}

#[test]
fn a_project_in_rust_passes_its_test_builds_and_tells_ready_from_not() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let tested =
        own(Run::program(&scene, "cargo").args(["test", "--quiet"]), &project).output().assert_code(0);
    assert!(tested.stdout().contains("2 passed"), "{tested}");
    let Some(compiler) = guest_compiler() else { return };
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(0);
    let component = project.join("orders-ready.wasm");
    let size = std::fs::metadata(&component).expect("the component").len();
    assert!(size < 150_000, "{size} bytes");
    assert!(built.stdout().contains("grants = { dial = [\"self\"] }"), "{built}");
    try_it(&scene, &component);
}

#[test]
fn without_the_target_the_command_that_adds_it_is_named() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let compiler = scene.path("rustc");
    // The compiler of this machine, but for the one answer: cargo asks it other things first, if nothing is cached.
    let script = "#!/bin/sh\nfor word; do [ \"$word\" != target-libdir ] || { echo /nonexistent; exit; }; done\n\
                  exec rustc \"$@\"\n";
    std::fs::write(&compiler, script).expect("a script");
    std::fs::set_permissions(&compiler, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(2);
    assert!(built.stderr().contains(&format!("rustup target add {TARGET}")), "{built}");
}

#[test]
fn a_project_in_python_passes_its_test_builds_and_tells_ready_from_not() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready", "--lang", "python"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let readme = std::fs::read_to_string(project.join("README.md")).expect("the README");
    // Word for word what a reader is told to type, up to the commands of farrier itself.
    let commands: Vec<&str> = readme
        .split("```")
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("farrier "))
        .collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in commands {
        let outcome = own(Run::program(&scene, "sh").args(["-euc", command]), &project).output();
        if outcome.code() != Some(0) && command.contains("pip install") {
            skip_unless_required(REQUIRE_PYPI, &format!("a probe in Python cannot be made here: {outcome}"));
            return;
        }
        outcome.assert_code(0);
    }
    let component: PathBuf = project.join("orders-ready.wasm");
    try_it(&scene, &component);
}
