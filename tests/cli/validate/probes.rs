//! Probes of definitions, and their pins and grants.

use super::*;

/// A definition whose probe is a file beside it.
fn with_probe(scene: &Scene, bytes: impl AsRef<[u8]>, rest: &str) {
    scene.define_in(Layer::User, "probe.wasm", bytes);
    scene.define_in(
        Layer::User,
        "db.toml",
        format!(
            "lifecycle = \"shared\"\nimage = \"postgres:16\"\n\n[interface]\nkind = \"port\"\nport = 5432\n\n\
             [readiness]\nprobe = \"./probe.wasm\"\n{rest}"
        ),
    );
}

#[test]
fn each_file_that_is_no_usable_probe_is_named_for_what_it_is() {
    let good = component(&guest::guest(guest::READY));
    let import = |name: &str| {
        let import = format!("(import \"{name}\" (instance))");
        component(&guest::with_imports(&import, guest::READY, ""))
    };
    let later = guest::guest(guest::READY).replace("@0.1.0", "@0.2.0");
    let table: [(&str, Vec<u8>, &str, &[&str]); 9] = [
        ("a text file", b"#!/bin/sh\n".to_vec(), "probe-invalid", &["it is not WebAssembly"]),
        ("an empty file", Vec::new(), "probe-invalid", &["it is not WebAssembly"]),
        (
            "a core module",
            component("(module)"),
            "probe-invalid",
            &["core WebAssembly module", "farrier probe build"],
        ),
        ("truncated", good[..good.len() / 2].to_vec(), "probe-invalid", &["damaged"]),
        ("another contract", component(&later), "probe-invalid", &["farrier:probe@0.2.0", "supports 0.1.2"]),
        ("no probe", component("(component)"), "probe-invalid", &["farrier:probe/check"]),
        (
            "ungranted",
            import("farrier:probe/exec@0.1.0"),
            "probe-not-granted",
            &["`./probe.wasm`", "farrier:probe/exec@0.1.0", "grants.exec = "],
        ),
        (
            "not offered",
            import("wasi:http/outgoing-handler@0.2.0"),
            "probe-not-granted",
            &["wasi:http/outgoing-handler@0.2.0", "does not offer"],
        ),
        (
            "not in the contract",
            import("farrier:probe/root@0.1.0"),
            "probe-not-granted",
            &["farrier:probe/root@0.1.0", "does not offer"],
        ),
    ];
    for (name, bytes, code, words) in table {
        let scene = Scene::new();
        with_probe(&scene, bytes, "");
        let outcome = without_engine(&scene, &["validate", "--format", "json"]).output().assert_code(2);
        let report = json(&outcome);
        assert_eq!(codes(&report), [("error".to_owned(), code.to_owned())], "{name}: {outcome}");
        for word in words {
            assert!(
                report["problems"][0].to_string().replace("\\\"", "\"").contains(word),
                "{name}: {outcome}"
            );
        }
    }
}

#[test]
fn a_probe_that_is_no_regular_file_is_not_waited_for() {
    let scene = Scene::new();
    with_probe(&scene, "", "");
    let file = scene.layer(Layer::User).join("probe.wasm");
    std::fs::remove_file(&file).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RWXU).expect("a pipe");
    let outcome = without_engine(&scene, &["validate"]).output().assert_code(2);
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    error[probe-invalid]: `./probe.wasm` cannot be used as a probe: it is not a regular file
     --> [SCENE]/config/farrier/sidecars/db.toml:9:9
      |
    9 | probe = "./probe.wasm"
      |         ^^^^^^^^^^^^^^
      |
      = help: Check the path and build the component again.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
}

#[test]
fn a_pin_must_match_and_a_missing_one_is_told_with_the_digest() {
    let bytes = component(&guest::guest(guest::READY));
    let digest = farrier::system::digest::sha256_hex(&bytes);
    let report = |rest: &str, code: i32| {
        let scene = Scene::new();
        with_probe(&scene, &bytes, rest);
        let outcome = without_engine(&scene, &["validate", "--format", "json"]).output().assert_code(code);
        json(&outcome)
    };
    let unpinned = report("", 0);
    assert_eq!(codes(&unpinned), [("warning".to_owned(), "probe-unpinned".to_owned())]);
    assert!(unpinned["problems"][0]["hints"].to_string().contains(&digest), "{unpinned:#}");
    assert_eq!(codes(&report(&format!("sha256 = \"{digest}\"\n"), 0)), []);
    let wrong = report(&format!("sha256 = \"{}\"\n", "0".repeat(64)), 2);
    assert_eq!(codes(&wrong), [("error".to_owned(), "probe-pin-mismatch".to_owned())]);
    assert!(wrong["problems"][0]["message"].to_string().contains(&digest), "{wrong:#}");
}

#[test]
fn a_built_in_probe_is_granted_another_port_only_by_its_definition() {
    let readiness = |probe: &str, port: &str, grants: &str| {
        let scene = Scene::new();
        scene.define(
            "db",
            &format!(
                "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"port\"\nport = 7000\n\
                 [readiness]\nprobe = \"{probe}\"\n{port}\n{grants}\n"
            ),
        );
        without_engine(&scene, &["validate"]).output()
    };
    for probe in
        ["tcp", "http", "postgres", "redis", "mysql", "memcached", "amqp", "nats", "smtp", "grpc", "mcp"]
    {
        let on = "settings = { port = 9000 }";
        readiness(probe, "settings = { port = 7000 }", "").assert_code(0);
        for (grants, line) in [
            ("", "grants = { dial = [\"self:9000\"] }"),
            ("grants = {}", "grants = { dial = [\"self:9000\"] }"),
            ("grants = { dial = [\"self\"] }", "grants = { dial = [\"self\", \"self:9000\"] }"),
            ("grants = { dial = [\"self:9001\"] }", "grants = { dial = [\"self:9001\", \"self:9000\"] }"),
        ] {
            let outcome = readiness(probe, on, grants).assert_code(2);
            assert!(outcome.stdout().contains("error[probe-not-granted]"), "{outcome}");
            assert!(outcome.stdout().contains(&format!("Grant it with `{line}`")), "{outcome}");
            readiness(probe, on, line).assert_code(0);
        }
        for (port, grants, refused) in [
            (on, "dial = [\"self:9000\"], health = true", "grants.health"),
            (on, "dial = [\"self:9000\"], exec = [[\"id\"]]", "grants.exec"),
            ("", "dial = [\"self\"]", "grants"),
        ] {
            let outcome = readiness(probe, port, &format!("grants = {{ {grants} }}")).assert_code(2);
            let told = format!("readiness.{refused}` is not accepted with the built-in probe");
            assert!(outcome.stdout().contains(&told), "{outcome}");
        }
    }
    let wrong = readiness("tcp", "settings = { port = 0 }", "").assert_code(2);
    assert_output!(wrong, @r#"
    exit code 2
    --- stdout
    error[probe-settings]: readiness.settings.port: invalid value: integer `0`, expected a number from 1 to 65535
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:8:21
      |
    8 | settings = { port = 0 }
      |                     ^
      |
      = help: `port`: The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
      = help: Correct the settings of the probe `tcp`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
    let unknown = readiness("tcp", "settings = { host = \"x\" }", "").assert_code(2);
    assert_output!(unknown, @r#"
    exit code 2
    --- stdout
    error[probe-settings]: readiness.settings.host: unknown field `host`, expected `port`
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:8:14
      |
    8 | settings = { host = "x" }
      |              ^^^^
      |
      = help: Correct the settings of the probe `tcp`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
}
