//! `farrier probe …`, and probes that definitions name: what is found, shown, refused and run, without an engine.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod check;
mod compiler;
mod scenarios;
mod settings;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::support::closed_port::ClosedPort;
use crate::support::guest::{self, component, guest, with_imports};
use crate::support::{Layer, Outcome, Run, Scene, assert_output};
use serde_json::Value;

/// farrier where no engine can answer.
fn farrier(scene: &Scene, words: &[&str]) -> Run {
    scene.farrier(words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

/// Writes a file beside a layer's definitions.
fn beside(scene: &Scene, layer: Layer, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let folder = scene.layer(layer).with_file_name("probes");
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(file);
    fs::write(&path, content).expect("a probe can be written");
    path
}

fn ready() -> Vec<u8> {
    component(&guest(guest::READY))
}

/// A server that answers each connection in this way, as long as the test runs.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { break };
            let mut heard = [0; 1024];
            let _ = connection.read(&mut heard).and_then(|_| connection.write_all(answer));
        }
    });
    address
}

#[test]
fn the_list_names_every_probe_and_where_it_is_from() {
    let scene = Scene::new();
    beside(&scene, Layer::User, "mine.wasm", ready());
    beside(&scene, Layer::Workspace, "broken.wasm", "text");
    beside(&scene, Layer::Workspace, "tcp.wasm", ready());
    beside(&scene, Layer::Workspace, "notes.txt", "not a probe");
    let report = json(&farrier(&scene, &["probe", "list", "--format", "json"]).output().assert_code(0));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let probes = report["probes"].as_array().expect("probes");
    let found: Vec<(String, String, bool)> = probes
        .iter()
        .filter(|probe| probe["origin"]["kind"] != "shipped")
        .map(|probe| (text(&probe["name"]), text(&probe["origin"]["kind"]), probe["error"].is_null()))
        .collect();
    let expected = [("mine", "user", true), ("broken", "workspace", false), ("tcp", "workspace", false)];
    assert_eq!(found, expected.map(|(name, layer, usable)| (name.to_owned(), layer.to_owned(), usable)));
    for name in ["tcp", "healthcheck", "exec", "skip"] {
        let shipped =
            probes.iter().any(|probe| probe["name"] == name && probe["origin"]["kind"] == "shipped");
        assert!(shipped, "{name} ships with farrier");
    }
    let lines = farrier(&scene, &["probe", "list"]).output().assert_code(0).stdout();
    let mine = lines.lines().find(|line| line.trim_start().starts_with("mine")).expect("a line");
    assert!(mine.contains("user") && mine.contains("0.1.0"), "{mine}");
    assert!(lines.contains("cannot be used: it is not WebAssembly"), "{lines}");
}

#[test]
fn inspect_says_in_plain_words_what_a_component_can_do() {
    let scene = Scene::new();
    let imports = r#"(import "farrier:probe/dial@0.1.0" (instance)) (import "wasi:clocks/wall-clock@0.2.3" (instance))
                     (import "wasi:http/types@0.2.0" (instance))"#;
    fs::write(scene.workspace().join("mine.wasm"), component(&with_imports(imports, guest::READY, "")))
        .expect("a file");
    let outcome = farrier(&scene, &["probe", "inspect", "./mine.wasm"]).output().assert_code(0);
    assert_output!(outcome, @r#"
    exit code 0
    --- stdout
    ./mine.wasm: a file

    size         0.7 KiB (796 bytes)
    sha256       [ID]
    wit          farrier:probe 0.1.0
    wit          wasi:clocks 0.2.3
    wit          wasi:http 0.2.0
    exports      farrier:probe/check@0.1.0
    probe        connects to the addresses that its definition grants (dial)
                 reads the time (clocks)
    refused      it imports wasi:http/types@0.2.0, which farrier offers to no probe

    A definition that uses it:

    [readiness]
    probe = "./mine.wasm"
    sha256 = "[ID]"
    grants = { dial = ["self"] }
    --- stderr
    "#);
    let report = json(
        &farrier(&scene, &["probe", "inspect", "./mine.wasm", "--format", "json"]).output().assert_code(0),
    );
    assert_eq!(report["contract"], "0.1.0");
    assert_eq!(report["grants"], "grants = { dial = [\"self\"] }");
    assert_eq!(report["refused_imports"], serde_json::json!(["wasi:http/types@0.2.0"]));
    assert_eq!(report["versions"]["wasi:clocks"], serde_json::json!(["0.2.3"]));
}

#[test]
fn what_is_no_probe_is_told_at_once_by_every_command() {
    let scene = Scene::new();
    let here = scene.workspace();
    let later = r#"(component (instance $i) (export "farrier:probe/check@0.2.0" (instance $i)))"#;
    for (name, bytes) in [
        ("text.wasm", b"hello".to_vec()),
        ("core.wasm", component("(module)")),
        ("cut.wasm", ready()[..300].to_vec()),
        ("world.wasm", component("(component)")),
        ("later.wasm", component(later)),
    ] {
        fs::write(here.join(name), bytes).expect("a file");
    }
    fs::File::create(here.join("large.wasm")).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
    rustix::fs::mkfifoat(rustix::fs::CWD, here.join("pipe.wasm"), rustix::fs::Mode::RUSR).expect("a pipe");
    for (file, code, words) in [
        ("text.wasm", "probe-invalid", "it is not WebAssembly"),
        ("core.wasm", "probe-invalid", "it is a core WebAssembly module, not a component"),
        ("cut.wasm", "probe-invalid", "it is damaged"),
        ("world.wasm", "probe-invalid", "it is a component, but not a probe"),
        ("later.wasm", "probe-invalid", "farrier:probe@0.2.0, but this version of farrier supports 0.1.2"),
        ("large.wasm", "probe-invalid", "it is larger than 64 MiB"),
        ("pipe.wasm", "probe-invalid", "it is not a regular file"),
        ("absent.wasm", "probe-invalid", "it cannot be read"),
        ("absent", "probe-not-found", "there is no probe named `absent`"),
    ] {
        for command in [&["inspect"][..], &["check", "--target", "localhost:1"]] {
            let outcome = farrier(&scene, &["probe"]).args(command).arg(file).output().assert_code(2);
            let told = outcome.stderr();
            assert!(told.contains(words) && told.contains(&format!("[{code}]")), "{file}: {outcome}");
            assert!(told.contains("help:"), "{file} has no next step: {outcome}");
            assert_eq!(outcome.stdout(), "");
        }
    }
}

/// A definition whose probe is this one, pinned.
fn definition(probe: &str) -> String {
    let pin = farrier::system::digest::sha256_hex(ready());
    format!(
        "lifecycle = \"shared\"\nimage = \"example\"\n[interface]\nkind = \"none\"\n\
         [readiness]\nprobe = \"{probe}\"\nsha256 = \"{pin}\"\n"
    )
}

#[test]
fn a_definition_names_probes_of_its_own_layer_and_of_the_user() {
    let scene = Scene::new();
    beside(&scene, Layer::User, "of-user.wasm", ready());
    beside(&scene, Layer::Workspace, "of-workspace.wasm", ready());
    let validate = |layer: Layer, probe: &str| {
        let path = scene.define_in(layer, "db.toml", definition(probe));
        let report = json(&farrier(&scene, &["validate", "--format", "json"]).output());
        fs::remove_file(path).expect("the definition");
        let problems = report["problems"].as_array().cloned().unwrap_or_default();
        problems.iter().find(|problem| problem["code"] == "probe-not-found").cloned()
    };
    assert_eq!(validate(Layer::User, "of-user"), None);
    assert_eq!(validate(Layer::Workspace, "of-user"), None);
    assert_eq!(validate(Layer::Workspace, "of-workspace"), None);
    let problem = validate(Layer::User, "of-workspace").expect("the workspace is out of a user's reach");
    assert!(!problem.to_string().contains("workspace/.farrier"), "{problem:#}");
    let problem = validate(Layer::Workspace, "of-usr").expect("no such probe").to_string();
    for words in ["Did you mean `of-user`?", "config/farrier/probes", "workspace/.farrier/probes"] {
        assert!(problem.contains(words), "{problem}");
    }
}

#[test]
fn a_workspace_probe_is_not_read_through_a_link_that_leaves_the_workspace() {
    let scene = Scene::new();
    let outside = scene.path("outside.wasm");
    fs::write(&outside, ready()).expect("a file");
    let folder = scene.layer(Layer::Workspace).with_file_name("probes");
    fs::create_dir_all(&folder).expect("a folder");
    std::os::unix::fs::symlink(&outside, folder.join("linked.wasm")).expect("a link");
    std::os::unix::fs::symlink("../probes/linked.wasm", scene.layer(Layer::Workspace).join("beside.wasm"))
        .expect("a link");
    for probe in ["linked", "./beside.wasm"] {
        scene.define_in(Layer::Workspace, "db.toml", definition(probe));
        let told = farrier(&scene, &["validate"]).output().assert_code(2).stdout();
        assert!(told.contains("it leads out of the workspace"), "{probe}: {told}");
    }
    let listed = farrier(&scene, &["probe", "list"]).output().assert_code(0).stdout();
    assert!(listed.contains("linked (workspace layer"), "{listed}");
    assert!(listed.contains("it leads out of the workspace"), "{listed}");
}

#[test]
fn a_trusted_folder_that_anyone_may_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let probe = beside(&scene, Layer::User, "mine.wasm", ready());
    let folder = probe.parent().expect("a folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("permissions");
    let told = farrier(&scene, &["probe", "inspect", "mine"]).output().assert_code(2).stderr();
    assert!(told.contains("anyone on this machine can write to"), "{told}");
}

/// A component that is the contract's in name only, and what is told of it.
fn of_other_types() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let import = |text: &str| component(&with_imports(text, guest::READY, ""));
    let changed = |from: &str, to: &str| component(&guest(guest::READY).replace(from, to));
    vec![
        (
            "another record",
            changed("(field \"port\" (option u16))", "(field \"ports\" (option u16))"),
            "it exports `check` of farrier:probe/check@0.1.0 with another type: parameter `context`: it lacks the \
             field `port`",
        ),
        (
            "another type of a field",
            changed("(field \"port\" (option u16))", "(field \"port\" (option s16))"),
            "parameter `context`: field `port`: `s16` in place of `u16`",
        ),
        (
            "another case",
            changed("(case \"failed\" string)", "(case \"failed\" string) (case \"never\")"),
            "result: it has the case `never`, which the contract lacks",
        ),
        (
            "one more function",
            import(
                "(import \"farrier:probe/dial@0.1.3\" (instance (export \"connect-tls\" (func (param \"host\" string)))))",
            ),
            "it imports the function `connect-tls` of farrier:probe/dial@0.1.3, which farrier:probe@0.1.2 lacks",
        ),
        (
            "a function with other parameters",
            import(
                "(import \"farrier:probe/log@0.1.0\" (instance (export \"write\" (func (param \"line\" string)))))",
            ),
            "it imports `write` of farrier:probe/log@0.1.0 with another type: it has 1 parameters in place of 2",
        ),
        (
            "a function that WASI lacks",
            import(
                "(import \"wasi:cli/environment@0.2.3\" (instance (export \"get-environmenx\" (func (result string)))))",
            ),
            "it imports the function `get-environmenx` of wasi:cli/environment@0.2.3, which WASI 0.2.12 lacks",
        ),
        (
            "a method that WASI lacks",
            import(
                "(import \"wasi:io/poll@0.2.0\" (instance (export \"pollable\" (type $pollable (sub resource))) \
                 (export \"[method]pollable.wait\" (func (param \"self\" (borrow $pollable))))))",
            ),
            "it imports the function `[method]pollable.wait` of wasi:io/poll@0.2.0, which WASI 0.2.12 lacks",
        ),
        (
            "an export without its function",
            component("(component (instance $i) (export \"farrier:probe/check@0.1.0\" (instance $i)))"),
            "its export farrier:probe/check@0.1.0 lacks the function `check`",
        ),
    ]
}

#[test]
fn a_component_that_has_other_types_than_the_contract_is_refused_by_every_command() {
    let scene = Scene::new();
    for (name, bytes, words) in of_other_types() {
        fs::write(scene.workspace().join("odd.wasm"), &bytes).expect("a file");
        for command in [&["inspect"][..], &["check", "--target", "localhost:1"], &["build"]] {
            let outcome = farrier(&scene, &["probe"]).args(command).arg("./odd.wasm").output().assert_code(2);
            let told = outcome.stderr();
            assert!(told.contains(words) && told.contains("help:"), "{name}: {outcome}");
        }
        scene.define_in(Layer::User, "odd.wasm", &bytes);
        scene.define_in(Layer::User, "db.toml", definition("./odd.wasm").replace("sha256", "# sha256"));
        let report = json(&farrier(&scene, &["validate", "--format", "json"]).output().assert_code(2));
        assert!(report.to_string().contains(&words.replace('"', "\\\"")), "{name}: {report:#}");
    }
}

#[test]
fn a_component_of_a_later_patch_that_needs_nothing_new_is_hosted() {
    let scene = Scene::new();
    let later = guest(guest::READY).replace("@0.1.0", "@0.1.3");
    fs::write(scene.workspace().join("later.wasm"), component(&later)).expect("a file");
    let shown = farrier(&scene, &["probe", "inspect", "./later.wasm"]).output().assert_code(0).stdout();
    assert!(shown.contains("farrier:probe 0.1.3"), "{shown}");
    farrier(&scene, &["probe", "check", "./later.wasm", "--target", "localhost:1"]).output().assert_code(0);
    // What it needs and this host lacks is named.
    let quic = "(import \"farrier:probe/quic@0.1.3\" (instance (export \"connect\" (func))))";
    let later = with_imports(quic, guest::READY, "").replace("@0.1.0", "@0.1.3");
    fs::write(scene.workspace().join("later.wasm"), component(&later)).expect("a file");
    for command in [&["check", "--target", "localhost:1"][..], &["build"]] {
        let outcome = farrier(&scene, &["probe"]).args(command).arg("./later.wasm").output().assert_code(2);
        let told = outcome.stderr();
        assert!(told.contains("imports farrier:probe/quic@0.1.3, which farrier does not offer"), "{outcome}");
        assert!(told.contains("This version of farrier hosts farrier:probe@0.1.2: install one"), "{outcome}");
    }
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_not_parsed() {
    let scene = Scene::new();
    for bytes in [b"no WebAssembly at all".to_vec(), component("(component)"), component("(module)")] {
        scene.define_in(Layer::User, "mine.wasm", &bytes);
        scene.define_in(Layer::User, "db.toml", definition("./mine.wasm"));
        let report = json(&farrier(&scene, &["validate", "--format", "json"]).output().assert_code(2));
        let codes: Vec<&str> = report["problems"]
            .as_array()
            .expect("problems")
            .iter()
            .filter_map(|problem| problem["code"].as_str())
            .collect();
        assert_eq!(codes, ["probe-pin-mismatch"], "{report:#}");
    }
}

#[test]
fn an_address_is_no_missing_file() {
    let scene = Scene::new();
    for probe in ["ftp://example.com/acme/orders-ready:1.2", "https://example.com/orders-ready.wasm"] {
        let outcome = farrier(&scene, &["probe", "inspect", probe]).output().assert_code(2);
        let told = outcome.stderr();
        assert!(told.contains("is an address that farrier does not download probes from"), "{outcome}");
        assert!(told.contains("probe = \"./orders-ready.wasm\""), "{outcome}");
        scene.define_in(Layer::User, "db.toml", definition(probe));
        let told = farrier(&scene, &["validate"]).output().assert_code(2).stdout();
        assert!(
            told.contains("does not download")
                && told.contains("oci://REGISTRY")
                && !told.contains("No such file"),
            "{told}"
        );
    }
}

#[test]
fn a_new_project_never_replaces_anything() {
    let scene = Scene::new();
    fs::create_dir(scene.workspace().join("taken")).expect("a folder");
    for (name, words) in [
        ("taken", "`taken` already exists"),
        ("tcp", "a probe that ships with farrier has it"),
        ("Orders", "it is not in kebab-case"),
        ("../orders", "it is not in kebab-case"),
        ("self", "it means something else to a compiler"),
    ] {
        let outcome = farrier(&scene, &["probe", "new", name]).output().assert_code(2);
        assert!(outcome.stderr().contains(words), "{outcome}");
    }
    assert_eq!(fs::read_dir(scene.workspace().join("taken")).expect("a folder").count(), 0);
}

#[test]
fn build_refuses_what_cannot_become_a_probe() {
    let scene = Scene::new();
    let here = scene.workspace();
    fs::write(here.join("text.wasm"), "hello").expect("a file");
    fs::write(here.join("core.wasm"), component("(module)")).expect("a file");
    fs::write(here.join("world.wasm"), component("(component)")).expect("a file");
    fs::write(here.join("mine.wasm"), ready()).expect("a file");
    for (file, words) in [
        ("text.wasm", "it is not WebAssembly"),
        ("core.wasm", "it does not say which world it is made for"),
        ("world.wasm", "it is a component, but not a probe"),
        ("absent.wasm", "No such file"),
    ] {
        let outcome = farrier(&scene, &["probe", "build", file]).output().assert_code(2);
        let told = outcome.stderr();
        assert!(told.contains(words) && told.contains("help:"), "{outcome}");
    }
    // What `validate` or a launch would refuse.
    let http = with_imports("(import \"wasi:http/outgoing-handler@0.2.0\" (instance))", guest::READY, "");
    fs::write(here.join("http.wasm"), component(&http)).expect("a file");
    let vectors = guest(guest::READY).replace(
        "(core module $code",
        "(core module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle)) \
         (core module $code",
    );
    fs::write(here.join("vectors.wasm"), component(&vectors)).expect("a file");
    for (file, words) in [
        ("http.wasm", "imports wasi:http/outgoing-handler@0.2.0, which farrier does not offer"),
        ("vectors.wasm", "relaxed"),
    ] {
        let outcome = farrier(&scene, &["probe", "build", file, "--out", "out.wasm"]).output().assert_code(2);
        let told = outcome.stderr();
        assert!(told.contains(words) && told.contains("help:"), "{outcome}");
        assert!(!here.join("out.wasm").exists(), "{file}");
    }
    farrier(&scene, &["probe", "build", "mine.wasm", "--out", "same.wasm"]).output().assert_code(0);
    assert_eq!(fs::read(here.join("same.wasm")).expect("the component"), ready());
    // A checkout may hold links where a file is about to be written.
    fs::write(here.join("kept"), "kept").expect("a file");
    for name in ["linked.wasm", "linked.wasm.new"] {
        std::os::unix::fs::symlink(here.join("kept"), here.join(name)).expect("a link");
    }
    farrier(&scene, &["probe", "build", "mine.wasm", "--out", "linked.wasm"]).output().assert_code(0);
    assert_eq!(fs::read_to_string(here.join("kept")).expect("the file"), "kept");
    assert_eq!(fs::read(here.join("linked.wasm")).expect("the component"), ready());
    // Whoever uses a pipe or a device would miss it.
    let pipe = here.join("pipe.wasm");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
    let outcome =
        farrier(&scene, &["probe", "build", "mine.wasm", "--out", "pipe.wasm"]).output().assert_code(2);
    assert!(
        outcome.stderr().contains("is not a regular file") && outcome.stderr().contains("help:"),
        "{outcome}"
    );
    assert!(!fs::symlink_metadata(&pipe).expect("the pipe").is_file());
}

#[test]
fn the_templates_leave_no_gap() {
    let scene = Scene::new();
    for (name, language) in [("in-rust", "rust"), ("in-python", "python")] {
        farrier(&scene, &["probe", "new", name, "--lang", language]).output().assert_code(0);
        let mut open = vec![scene.workspace().join(name)];
        while let Some(path) = open.pop() {
            // The SDK is no template.
            if path.ends_with("farrier-probe/src") {
                continue;
            }
            if path.is_dir() {
                open.extend(
                    fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()),
                );
            } else {
                let text = fs::read_to_string(&path).expect("text");
                assert!(!text.contains("{{"), "{} has a gap", path.display());
            }
        }
    }
    assert!(Path::new(&scene.workspace().join("in-rust/farrier-probe/Cargo.toml")).is_file());
}
