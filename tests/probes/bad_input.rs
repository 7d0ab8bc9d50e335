//! Files that are no probes, and probes that do not fit their definition: each is one clear error, before any
//! engine is asked for anything, and never a hang.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::guest::{self, built, component, guest, validating, with_imports};
use crate::support::{Layer, Scene};

/// What `farrier up` says of a definition with this probe, where there is no engine to ask.
fn refused(prepare: &dyn Fn(&Path), readiness: &str) -> (i32, Vec<(String, String)>) {
    let scene = Scene::new();
    let folder = scene.layer(Layer::User);
    std::fs::create_dir_all(&folder).expect("folder");
    prepare(&folder);
    scene.define(
        "db",
        &format!(
            "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\n\
             probe = \"./mine.wasm\"\n{readiness}\n"
        ),
    );
    let path = scene.path("events.jsonl");
    // An engine that would be asked is not there, which would be told instead.
    let run =
        scene.farrier(["up", "--events"]).arg(&path).env("DOCKER_HOST", "unix:///nonexistent/engine.sock");
    let code = run.output().code().unwrap_or(-1);
    let events = crate::support::Events::read(&path);
    let problem = |told: &serde_json::Value| {
        (
            told["code"].as_str().unwrap_or_default().to_owned(),
            told["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    (code, events.of("problem").into_iter().map(problem).collect())
}

fn write(bytes: Vec<u8>) -> impl Fn(&Path) {
    move |folder| std::fs::write(folder.join("mine.wasm"), &bytes).expect("file")
}

#[test]
fn each_bad_file_is_one_clear_error() {
    let good = component(&guest(guest::READY));
    let truncated = good[..good.len() / 2].to_vec();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let traps = with_imports("", guest::READY, &validating(""));
    let spins = with_imports("", guest::READY, &validating("(loop $l (br $l))"));
    let needs = with_imports(r#"(import "farrier:probe/exec@0.1.0" (instance))"#, guest::READY, "");
    let network = with_imports(r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))"#, guest::READY, "");
    let huge = |folder: &Path| {
        std::fs::File::create(folder.join("mine.wasm")).and_then(|file| file.set_len(1 << 30)).expect("file");
    };
    let pipe = |folder: &Path| {
        let path = folder.join("mine.wasm");
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).expect("pipe");
    };
    let other_pin = format!("sha256 = \"{}\"", "0".repeat(64));
    type Row<'a> = (&'a str, Box<dyn Fn(&Path)>, &'a str, &'a str, &'a str);
    let table: Vec<Row<'_>> = vec![
        ("nothing", Box::new(|_| ()), "", "probe-invalid", "No such file"),
        ("text", Box::new(write(b"hello".to_vec())), "", "probe-invalid", "not WebAssembly"),
        ("empty", Box::new(write(Vec::new())), "", "probe-invalid", "not WebAssembly"),
        (
            "core module",
            Box::new(write(component("(module)"))),
            "",
            "probe-invalid",
            "core WebAssembly module",
        ),
        ("truncated", Box::new(write(truncated)), "", "probe-invalid", "damaged"),
        ("1 GB", Box::new(huge), "", "probe-invalid", "larger than 64 MiB"),
        ("a pipe", Box::new(pipe), "", "probe-invalid", "not a regular file"),
        (
            "a folder",
            Box::new(|folder| std::fs::create_dir(folder.join("mine.wasm")).expect("folder")),
            "",
            "probe-invalid",
            "not a regular file",
        ),
        (
            "a link to a device",
            Box::new(|folder| symlink("/dev/zero", folder.join("mine.wasm")).expect("link")),
            "",
            "probe-invalid",
            "not a regular file",
        ),
        ("another world", Box::new(write(component("(component)"))), "", "probe-invalid", "not a probe"),
        ("traps in validate", Box::new(write(component(&traps))), "", "probe-crashed", "it trapped"),
        (
            "never validates",
            Box::new(write(component(&spins))),
            "",
            "probe-crashed",
            "longer than its limit of 2s",
        ),
        (
            "not granted",
            Box::new(write(component(&needs))),
            "",
            "probe-not-granted",
            "farrier:probe/exec@0.1.0",
        ),
        (
            "not offered",
            Box::new(write(component(&network))),
            "",
            "probe-not-granted",
            "wasi:http/outgoing-handler",
        ),
        ("another pin", Box::new(write(good.clone())), &other_pin, "probe-pin-mismatch", "is pinned"),
        (
            "settings of the wrong type",
            Box::new(write(built("standard"))),
            "settings = { try = 5 }",
            "probe-settings",
            "readiness.settings",
        ),
    ];
    for (name, prepare, readiness, code, words) in table {
        let (exit, problems) = refused(&prepare, readiness);
        assert!(matches!(exit, 2 | 125), "{name}: {exit} {problems:?}");
        let [(found, message)] = problems.as_slice() else { panic!("{name}: {problems:?}") };
        assert_eq!(found, code, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
        assert!(message.len() < 400, "{name}: {message}");
    }
    // A flipped byte is some error, or another component that is none of the above: never a crash of farrier.
    let (exit, _) = refused(&write(flipped), "");
    assert!(matches!(exit, 2 | 125), "{exit}");
}

#[test]
fn a_path_of_the_workspace_cannot_leave_it() {
    let scene = Scene::new();
    let layer = scene.layer(Layer::Workspace);
    std::fs::create_dir_all(&layer).expect("folder");
    let outside = scene.path("outside.wasm");
    std::fs::write(&outside, component(&guest(guest::READY))).expect("file");
    symlink(&outside, layer.join("link.wasm")).expect("link");
    for probe in ["./link.wasm", "../../../outside.wasm"] {
        scene.define_in(
            Layer::Workspace,
            "db.toml",
            format!(
                "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\n\
                 probe = \"{probe}\"\nsha256 = \"{}\"\n",
                "0".repeat(64)
            ),
        );
        let told = scene.farrier(["validate"]).output().assert_code(2).stdout();
        assert!(told.contains("it leads out of the workspace"), "{probe}: {told}");
        assert!(!told.contains("digest"), "nothing is told of the file: {told}");
    }
}
