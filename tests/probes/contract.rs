//! The contract with probes is frozen: what was built against it once is hosted for ever, and a component of
//! another contract is refused by both versions' names.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use crate::support::events::text;
use crate::support::guest::{self, component, guest, with_imports};
use crate::support::{Events, Image, Layer, Scene};
use farrier::probe::component::CONTRACT;
use sha2::{Digest, Sha256};

/// Built from `tests/guests/frozen` when the contract was 0.1.0, and never again.
const FROZEN: &[u8] = include_bytes!("../fixtures/frozen/probe-0.1.0.wasm");
const DIGEST: &str = "be34f4d4916ac6ae7fc5665881a48486bbb063ba3f29c9d69f21317e3c64f053";

#[test]
fn the_frozen_component_is_the_frozen_component() {
    assert_eq!(hex::encode(Sha256::digest(FROZEN)), DIGEST, "it is built once; a new one belongs beside it");
}

#[test]
fn the_contract_only_grows() {
    let frozen = include_str!("../fixtures/frozen/probe-0.1.0.wit");
    let mut now = include_str!("../../wit/probe.wit").lines().map(str::trim);
    let declarations = frozen.lines().map(str::trim);
    // Only the package's number grows.
    let declarations = declarations
        .filter(|line| !line.is_empty() && !line.starts_with("///") && !line.starts_with("package "));
    for declaration in declarations {
        assert!(
            now.any(|line| line == declaration),
            "`{declaration}` of farrier:probe@0.1.0 is missing, changed or moved in wit/probe.wit"
        );
    }
    assert_eq!(CONTRACT, "0.1.2", "0.1.0 stays hosted when another version comes");
}

fn define(scene: &Scene, settings: &str) {
    let image = scene.image(
        &Image::new().change("HEALTHCHECK --interval=1h CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]"),
    );
    scene.define_in(Layer::User, "frozen.wasm", FROZEN);
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"serve\", \"--port\", \"7000\"]\n\
             [interface]\nkind = \"port\"\nport = 7000\n[readiness]\nprobe = \"./frozen.wasm\"\ntimeout = \"60s\"\n\
             limits = {{ poll = \"30s\" }}\nsha256 = \"{DIGEST}\"\nsettings = {{ {settings} }}\n\
             [readiness.grants]\ndial = [\"self\"]\nexec = [[\"/fixture\", \"healthy-when-port\", \"7000\"]]\n\
             health = true\nlogs = true\n"
        ),
    );
}

const COMMAND: &str = "command = [\"/fixture\", \"healthy-when-port\", \"7000\"], log = \"accepting\"";

#[test]
fn a_component_of_0_1_0_gets_all_that_0_1_0_promised() {
    let Some(scene) = Scene::with_docker() else { return };
    for (settings, code, answer) in [
        (COMMAND.to_owned(), 0, "ready"),
        (format!("{COMMAND}, end = \"pending\""), 0, "not before the third poll"),
        (format!("{COMMAND}, end = \"failed\""), 125, "as the settings have it"),
    ] {
        define(&scene, &settings);
        let path = scene.path("events.jsonl");
        let _ = std::fs::remove_file(&path);
        let outcome = scene.farrier(["up", "-vv", "--events"]).arg(&path).output().assert_code(code);
        let events = Events::read(&path);
        let answers: Vec<_> = events.of("answered").into_iter().map(|told| text(&told["answer"])).collect();
        assert!(answers.iter().any(|told| told == answer), "{settings}: {answers:?}\n{outcome}");
        if answer == "ready" {
            let traced: Vec<_> = events.of("traced").into_iter().map(|told| text(&told["line"])).collect();
            assert_eq!(traced[..3], ["debug: debug", "info: info", "warn: warn"]);
        }
    }
}

#[test]
fn its_settings_are_checked_before_an_engine_is_asked() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "command = [], log = \"x\"");
    let outcome = scene.farrier(["validate"]).output().assert_code(2);
    let told = outcome.stdout();
    for words in ["readiness.settings.command: name a program", "readiness.settings: nothing to do"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    define(&scene, "command = [1], log = \"x\"");
    let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
    assert!(told.contains("readiness.settings.command[0]: invalid type"), "{told}");
}

#[test]
fn a_component_of_an_unknown_contract_is_refused_with_both_versions_named() {
    for version in ["0.2.0", "0.0.9", "1.0.0"] {
        let scene = Scene::new();
        let text = guest(guest::READY).replace("@0.1.0", &format!("@{version}"));
        scene.define_in(Layer::User, "mine.wasm", component(&text));
        scene.define(
            "db",
            "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"./mine.wasm\"\n",
        );
        let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
        assert!(told.contains(&format!("built for farrier:probe@{version}")), "{told}");
        assert!(told.contains("this version of farrier supports 0.1.2"), "{told}");
    }
}

#[test]
fn an_import_of_wasi_with_another_type_is_found_without_an_engine() {
    for (import, told) in [
        ("random/random@0.2.0\" (instance (export \"get-random-u64\" (func (result u64))))", None),
        (
            "random/random@0.2.0\" (instance (export \"get-random-u64\" (func (result u32))))",
            Some(
                "it imports `get-random-u64` of wasi:random/random@0.2.0 with another type: result: `u32` in place of",
            ),
        ),
        (
            "cli/environment@0.2.3\" (instance (export \"get-environment\" (func (result (list (tuple string))))))",
            Some("it imports `get-environment` of wasi:cli/environment@0.2.3 with another type"),
        ),
        (
            "io/poll@0.2.0\" (instance (export \"poller\" (type (sub resource))))",
            Some("it imports the resource `poller` of wasi:io/poll@0.2.0, which WASI 0.2.12 lacks"),
        ),
        (
            "io/poll@0.2.0\" (instance (export \"pollable\" (type $p (sub resource))) \
             (export \"[method]pollable.ready\" (func (param \"self\" (borrow $p)) (result bool))))",
            None,
        ),
        (
            "io/streams@0.2.0\" (instance (export \"pollable\" (type $p (sub resource))) \
             (export \"input-stream\" (type $i (sub resource))) \
             (export \"[method]input-stream.subscribe\" (func (param \"self\" (borrow $i)) (result (own $p)))))",
            Some("a resource in place of a resource"),
        ),
    ] {
        let scene = Scene::new();
        let text = with_imports(&format!("(import \"wasi:{import})"), guest::READY, "");
        scene.define_in(Layer::User, "mine.wasm", component(&text));
        scene.define(
            "db",
            "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"./mine.wasm\"\n",
        );
        let outcome = scene.farrier(["validate"]).output().assert_code(if told.is_some() { 2 } else { 0 });
        assert!(outcome.stdout().contains(told.unwrap_or(" 0 errors")), "{import}: {outcome}");
    }
}
