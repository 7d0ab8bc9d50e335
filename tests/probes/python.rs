//! A probe in Python, made by componentize-py, with Python's own sockets. Making it needs Python and its package
//! index; where they are not there the test says so, and fails where `FARRIER_REQUIRE_PYPI=1`.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::events::text;
use crate::support::skipping::{REQUIRE_PYPI, skip_unless_required};
use crate::support::{Events, Layer, Scene, fixture_image};

/// The release whose components were tried.
const COMPONENTIZE: &str = "componentize-py==0.25.1";
const APP: &str = include_str!("../guests/python/app.py");
const WIT: &str = include_str!("../../wit/probe.wit");

/// The component, made once for these sources; none where it cannot be made.
fn component() -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let digest = crate::support::fixture::digest_of(&[APP, WIT, COMPONENTIZE]);
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = folder.join("python-guest").join(digest);
    let made = folder.join("python.wasm");
    if !made.exists()
        && let Err(why) = make(&folder, &made)
    {
        skip_unless_required(REQUIRE_PYPI, &format!("a Python probe cannot be made here: {why}"));
        return None;
    }
    Some(std::fs::read(&made).expect("the component"))
}

fn make(folder: &Path, made: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder.join("wit")).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("app.py"), APP).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("wit/probe.wit"), WIT).map_err(|error| error.to_string())?;
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(folder).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("{}: {error}", program.display())),
        }
    };
    run(Path::new("python3"), &["-m", "venv", "venv"])?;
    run(&folder.join("venv/bin/pip"), &["install", "--quiet", "--disable-pip-version-check", COMPONENTIZE])?;
    let unfinished = folder.join("unfinished.wasm");
    let arguments = ["-d", "wit", "-w", "probe", "componentize", "app", "-o", "unfinished.wasm"];
    run(&folder.join("venv/bin/componentize-py"), &arguments)?;
    std::fs::rename(unfinished, made).map_err(|error| error.to_string())
}

fn define(scene: &Scene, arguments: &str, timeout: &str) {
    let image = fixture_image();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {arguments:?}\n[interface]\nkind = \"port\"\n\
             port = 7000\n[readiness]\nprobe = \"./python.wasm\"\ntimeout = \"{timeout}\"\ngrants.dial = [\"self\"]\n"
        ),
    );
}

#[test]
fn a_python_probe_passes_and_fails_as_its_server_does() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(component) = component() else { return };
    scene.define_in(Layer::User, "python.wasm", component);
    let up = |expected: i32| {
        let path = scene.path("events.jsonl");
        let _ = std::fs::remove_file(&path);
        scene.farrier(["up", "--events"]).arg(&path).output().assert_code(expected);
        let events = Events::read(&path);
        events.of("answered").into_iter().map(|told| text(&told["answer"])).collect::<Vec<_>>()
    };
    // Compiled here, and taken from the cache from then on.
    define(&scene, "serve --port 7000", "5m");
    assert_eq!(up(0).last().map(String::as_str), Some("ready"));
    // The same without a route to the sidecar.
    scene.farrier(["down", &scene.name("db"), "--yes"]).output().assert_code(0);
    scene.farrier(["up", "--dial", "relay"]).output().assert_code(0);
    define(&scene, "wait", "60s");
    let (outcome, answers) = scene.up_listening_after([""; 0], "db", "error: [Errno 14] Connection refused");
    outcome.assert_code(0);
    assert_eq!(answers.last().map(String::as_str), Some("ready"), "{answers:?}");
    define(&scene, "serve --port 7000 --reply HTTP/1.1", "5s");
    let answers = up(125);
    // On a busy machine, single polls are cut.
    let whole: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.contains("timed out") && !answer.contains("no answer"))
        .collect();
    assert!(!whole.is_empty() && whole.iter().all(|answer| *answer == "it says b'HTTP/'"), "{answers:?}");
    define(&scene, "serve --port 7001", "2s");
    let answers = up(125);
    assert!(answers.iter().any(|answer| answer.contains("Connection refused")), "{answers:?}");
}
