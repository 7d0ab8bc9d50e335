//! `farrier validate` and `farrier schema`: everything that is wrong, found without an engine.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::docker::Trouble;
use crate::support::engine::skip;
use crate::support::guest::{self, component, guest};
use crate::support::skipping::say_skipped;
use crate::support::{Layer, Outcome, Run, Scene, assert_output};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/farrier.schema.json");

/// farrier where no engine can answer.
fn without_engine(scene: &Scene, words: &[&str]) -> Run {
    scene.farrier(words).env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

fn broken() -> PathBuf {
    Path::new(FIXTURES).join("broken")
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

fn codes(report: &serde_json::Value) -> Vec<(String, String)> {
    let problems = report["problems"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    problems.iter().map(|problem| (text(&problem["severity"]), text(&problem["code"]))).collect()
}

#[test]
fn all_thirty_broken_files_are_reported_at_once_with_place_and_next_step() {
    let scene = Scene::new();
    let run = without_engine(&scene, &["validate", "--format", "json", "--user-dir"]).arg(broken());
    let outcome = run.output().assert_code(2);
    assert_eq!(outcome.stderr(), "");
    let report = json(&outcome);
    assert_eq!(report["valid"], false);
    let problems = report["problems"].as_array().expect("problems");
    let mut named = BTreeSet::new();
    for problem in problems {
        if problem["severity"] == "error" {
            let file = problem["place"]["file"].as_str().unwrap_or_else(|| panic!("{problem:#} has no file"));
            named.extend(Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        assert!(!problem["code"].as_str().unwrap_or_default().is_empty(), "{problem:#}");
        let hints = problem["hints"].as_array().expect("hints");
        assert!(!hints.is_empty(), "no next step: {problem:#}");
    }
    let expected = files(&broken());
    assert_eq!(expected.len(), 30);
    assert_eq!(named.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_human_report_of_broken_files_names_each_and_counts() {
    let scene = Scene::new();
    let run = without_engine(&scene, &["validate", "--color", "never", "--user-dir"]).arg(broken());
    let outcome = run.output().assert_code(2);
    for file in files(&broken()) {
        assert!(outcome.stdout().contains(&file), "{file} in {outcome}");
    }
    assert!(outcome.stdout().contains(&format!("layer user      {} (30 files)", broken().display())));
    assert!(!outcome.stdout().contains('\u{1b}'), "{outcome}");
}

#[test]
fn valid_layers_are_listed_with_their_counts() {
    let scene = Scene::new();
    scene.define_in(
        Layer::User,
        "db.toml",
        "lifecycle = \"shared\"\nimage = \"postgres:16\"\n[interface]\nkind = \"port\"\nport = 5432\n",
    );
    scene.define_in(Layer::Org, "cache.toml", "disable = true\n");
    let org = scene.layer(Layer::Org);
    let outcome = without_engine(&scene, &["validate", "--org-dir"]).arg(org).output().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer org       [SCENE]/org (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 0 errors, 0 warnings
    --- stderr
    ");
    let files = Path::new(FIXTURES).join("python");
    let python = without_engine(&scene, &["validate", "--format", "json", "--user-tongs"]).arg(files);
    let report = json(&python.output().assert_code(0));
    assert_eq!(report["valid"], true);
    assert_eq!(report["layers"][0]["files"], 4);
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let scene = Scene::new();
    scene.define_in(
        Layer::User,
        "db.toml",
        "lifecycle = \"shared\"\nimage = \"postgres:16\"\n\n[interface]\nkind = \"port\"\nport = 5432\n\n\
         [readiness]\nprobe = \"tcp\"\ntimout = \"5s\"\n",
    );
    let outcome = without_engine(&scene, &["validate", "--no-workspace"]).output().assert_code(0);
    assert_output!(outcome, @r#"
    exit code 0
    --- stdout
    warning[unknown-key]: `readiness.timout` is not a key of a definition; it is ignored
      --> [SCENE]/config/farrier/sidecars/db.toml:10:1
       |
    10 | timout = "5s"
       | ^^^^^^
       |
       = help: Did you mean `timeout`?

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    1 sidecar, 0 errors, 1 warning
    --- stderr
    "#);
}

#[test]
fn what_is_valid_but_refused_is_told_with_its_reason_and_exits_125() {
    let scene = Scene::new();
    let refused = Path::new(FIXTURES).join("python/refused");
    let run = without_engine(&scene, &["validate", "--format", "json", "--user-dir"]).arg(&refused);
    let outcome = run.output().assert_code(125);
    let report = json(&outcome);
    let found: BTreeSet<String> = codes(&report).into_iter().map(|(_, code)| code).collect();
    insta::assert_debug_snapshot!(found, @r#"
    {
        "unsupported-interface",
        "unsupported-mount",
        "unsupported-secret",
    }
    "#);
    for problem in report["problems"].as_array().expect("problems") {
        assert!(!problem["hints"].as_array().expect("hints").is_empty(), "{problem:#}");
    }
}

#[test]
fn nothing_is_asked_of_an_engine() {
    let scene = Scene::new();
    scene.define_in(
        Layer::User,
        "db.toml",
        "lifecycle = \"shared\"\nimage = \"postgres:16\"\n[interface]\nkind = \"port\"\nport = 5432\n",
    );
    let Some(strace) = which("strace") else {
        return skip(&Trouble::new("strace is not installed", "Install it: `apt-get install strace`."));
    };
    let trace = scene.path("trace");
    let run = Run::program(&scene, strace).args(["-f", "-e", "trace=network", "-o"]).arg(&trace);
    run.arg(env!("CARGO_BIN_EXE_farrier")).arg("validate").output().assert_code(0);
    let calls = std::fs::read_to_string(trace).expect("a trace");
    assert!(!calls.contains("connect("), "{calls}");
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

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

#[test]
fn the_committed_schema_is_what_farrier_prints() {
    let scene = Scene::new();
    let outcome = without_engine(&scene, &["schema"]).output().assert_code(0);
    assert_eq!(outcome.stderr(), "");
    if std::env::var_os("UPDATE_SCHEMA").is_some_and(|value| value == "1") {
        std::fs::write(SCHEMA, outcome.stdout()).expect("written");
    }
    let committed = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        committed == outcome.stdout(),
        "farrier.schema.json is out of date: run `UPDATE_SCHEMA=1 cargo test --test cli committed_schema` and commit it"
    );
    let schema: serde_json::Value = serde_json::from_str(&committed).expect("JSON");
    assert!(schema["$schema"].is_string() && schema["properties"]["readiness"].is_object());
}

#[test]
fn a_symlink_of_the_checkout_is_no_trusted_layer_whatever_option_names_it() {
    let scene = Scene::new();
    let elsewhere = scene.path("elsewhere/evil");
    std::fs::create_dir_all(&elsewhere).expect("a folder");
    std::fs::write(
        elsewhere.join("db.toml"),
        "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n",
    )
    .expect("a file");
    let link = scene.workspace().join("link");
    std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
    for option in ["--user-dir", "--org-dir", "--repo-dir", "--workspace-dir"] {
        let outcome = scene.farrier(["validate", option]).arg(&link).output().assert_code(2);
        assert!(outcome.stdout().contains("[outside-workspace]"), "{option}: {outcome}");
    }
}

#[test]
fn the_workspace_cannot_take_a_name_over_by_disabling_it_first() {
    let scene = Scene::new();
    let toml = |image: &str| {
        format!("lifecycle: shared\nimage: {image}\ninterface: {{kind: none}}\nreadiness: {{probe: skip}}\n")
    };
    scene.define_in(Layer::User, "db.yaml", toml("trusted"));
    scene.define_in(Layer::Workspace, "db.yaml", "disable: true\n");
    scene.define_in(Layer::Workspace, "db.yml", toml("evil"));
    let outcome = scene.farrier(["validate", "--format", "json"]).output();
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
    assert_eq!(told["sidecars"], serde_json::json!([]), "{told:#}");
    let codes: Vec<_> =
        told["problems"].as_array().into_iter().flatten().map(|problem| &problem["code"]).collect();
    assert!(codes.iter().any(|code| **code == "workspace-override"), "{told:#}");
}

#[test]
fn probes_check_their_settings_where_address_space_is_limited() {
    let scene = Scene::new();
    scene.define(
        "web",
        "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\nprobe = \
         \"http\"\nsettings = { path = \"health\" }\n",
    );
    // Room for the memory of one guest at a time, and for none of a pool beside it.
    let script = "ulimit -v 12582912; exec \"$@\"";
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let run = Run::program(&scene, "sh").args(["-c", script, "sh", farrier, "validate"]);
    let outcome = run.output().assert_code(2);
    // What no schema says, so that the probe itself says it.
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    error[probe-settings]: readiness.settings.path: a path begins with `/`
     --> [SCENE]/config/farrier/sidecars/web-[TOKEN].toml:8:21
      |
    8 | settings = { path = "health" }
      |                     ^^^^^^^^
      |
      = help: Correct the settings of the probe `http`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
}

#[test]
fn hints_speak_the_language_of_the_file() {
    let scene = Scene::new();
    let yaml = "lifecycle: shared\nimage: postgres:16\nenvironment: {A: b}\ninterface: {kind: none}\n";
    scene.define_in(Layer::User, "a.yaml", yaml);
    scene.define_in(
        Layer::User,
        "b.toml",
        "lifecycle = \"shared\"\nimage = \"x\"\nenvironment = { A = \"b\" }\n",
    );
    let outcome = without_engine(&scene, &["validate", "--no-workspace"]).output().assert_code(2);
    for words in [
        "`env: { NAME: \"value\" }`",
        "`readiness: { probe: \"healthcheck\" }`",
        "`env = { NAME = \"value\" }`",
    ] {
        assert!(outcome.stdout().contains(words), "{words}: {outcome}");
    }
    assert_eq!(outcome.stdout().matches("error[unknown-key]").count(), 2, "{outcome}");
}

#[test]
fn what_leaves_a_container_more_power_is_said_where_only_errors_are_wanted() {
    let scene = Scene::new();
    let definition = |more: &str| {
        format!("lifecycle = \"shared\"\nimage = \"x\"\n{more}\n[interface]\nkind = \"port\"\nport = 80\n")
    };
    scene.define_in(Layer::User, "db.toml", definition("resources.memroy = \"64MiB\""));
    scene.define_in(Layer::User, "other.toml", definition("x-comment = \"x\""));
    let outcome = without_engine(&scene, &["up", "-q", "--no-workspace"]).output().assert_code(125);
    assert_output!(outcome, @r#"
    exit code 125
    --- stdout
    --- stderr
    warning[unknown-key]: `resources.memroy` is not a key of a definition; it is ignored
     --> [SCENE]/config/farrier/sidecars/db.toml:3:11
      |
    3 | resources.memroy = "64MiB"
      |           ^^^^^^
      |
      = help: Did you mean `memory`?
    error[engine-unreachable]: cannot use the engine at unix:///nonexistent/docker.sock (DOCKER_HOST): No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    "#);
    assert!(!outcome.stderr().contains("x-comment"), "{outcome}");
}

/// farrier under a limit of `ulimit`.
fn limited(scene: &Scene, limit: &str, words: &[&str]) -> Run {
    let script = format!("ulimit {limit}; exec \"$@\"");
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let run = Run::program(scene, "/bin/bash").args(["-c", &script, "bash", farrier]).args(words);
    run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

#[test]
fn a_limit_on_this_process_is_told_as_that() {
    let scene = Scene::new();
    let web = "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\n\
               probe = \"http\"\nsettings = { path = \"/\" }\n";
    scene.define("web", web);
    for (limit, words, part) in [
        ("-n 6", &["validate"][..], "`ulimit -n`"),
        ("-n 8", &["up"], "`ulimit -n`"),
        ("-n 12", &["plan"], "`ulimit -n`"),
        ("-n 14", &["launch", "--", "true"], "`ulimit -n`"),
        ("-v 200000", &["up"], "`ulimit -v`"),
        ("-v 200000", &["launch", "--", "true"], "`ulimit -v`"),
    ] {
        let outcome = limited(&scene, limit, words).output().assert_code(125);
        let told = outcome.stderr() + &outcome.stdout();
        assert!(told.contains(part) && told.contains("[state-unusable]"), "{limit} {words:?}: {outcome}");
        for blame in ["probe", "panicked", "engine"] {
            assert!(!told.contains(blame), "{limit} {words:?}: {outcome}");
        }
    }
    // What is written is cut, and nothing is killed.
    let events = scene.path("events");
    let words = ["up", "--events", &events.display().to_string()];
    let outcome = limited(&scene, "-f 0", &words).output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-unreachable]: cannot use the engine at unix:///nonexistent/docker.sock (DOCKER_HOST): No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    warning[state-unusable]: events are no longer written: a file would exceed this process's limit on file size (`ulimit -f`: 0)
     |
     = help: The launch continues. Free disk space for the events, or read them while they are written.
    ");
}

#[test]
fn a_thread_that_the_system_does_not_give_is_told_as_that() {
    let scene = Scene::new();
    let web = "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\n\
               probe = \"http\"\nsettings = { path = \"/\" }\n";
    let user = scene.path("user");
    std::fs::create_dir(&user).expect("a folder");
    std::fs::write(user.join("web.toml"), web).expect("a definition");
    // Root may have any number of threads.
    let other = ["--reuid", "54321", "--regid", "54321", "--clear-groups"];
    for folder in [scene.path(""), user.clone()] {
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
    }
    let program = env!("CARGO_BIN_EXE_farrier");
    let runs =
        Run::program(&scene, "setpriv").args(other).args([program, "--version"]).directory("/").output();
    if runs.code() != Some(0) {
        say_skipped(&format!("farrier cannot be run as another user here: {runs}"));
        return;
    }
    for (limit, is_enough) in [("0", false), ("1", false), ("2", false), ("20", true)] {
        let script = format!("ulimit -u {limit}; exec \"$@\"");
        let run =
            Run::program(&scene, "setpriv").args(other).args(["/bin/bash", "-c", &script, "bash", program]);
        let run = run.args(["validate", "--no-workspace", "--user-dir"]).arg(&user).directory("/");
        let outcome = run.output().assert_code(if is_enough { 0 } else { 125 });
        let told = outcome.stderr() + &outcome.stdout();
        assert_eq!(told.contains("threads (`ulimit -u`"), !is_enough, "{limit}: {outcome}");
        assert!(!told.contains("panicked") && !told.contains("[probe"), "{limit}: {outcome}");
    }
}

#[test]
fn without_a_home_there_is_no_user_layer() {
    let scene = Scene::new();
    for home in ["/dev/null", "/nonexistent"] {
        let bare = |words: &[&str]| {
            let mut run = without_engine(&scene, words).env("HOME", home);
            for folder in ["CONFIG", "CACHE", "STATE"] {
                run = run.env_remove(format!("XDG_{folder}_HOME"));
            }
            run
        };
        bare(&["validate"]).output().assert_code(0);
        let outcome = bare(&["launch", "--", "echo", "passed through"]).output().assert_code(0);
        assert_eq!(
            (outcome.stdout().as_str(), outcome.stderr().as_str()),
            ("passed through\n", ""),
            "{home}"
        );
        let told = bare(&["doctor"]).output().stdout();
        assert!(home != "/dev/null" || told.contains("/dev/null is not a folder"), "{told}");
    }
}

#[test]
fn reading_is_bounded_in_all_however_it_is_divided() {
    let limit = |outcome: &Outcome| {
        let problems = codes(&json(outcome));
        problems.iter().filter(|(_, code)| code == "reading-limit").count()
    };
    let validate =
        |scene: &Scene| without_engine(scene, &["validate", "--format", "json"]).output().assert_code(2);
    let probed = |probe: &str| {
        format!(
            "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"{probe}\"\n"
        )
    };

    let many_bytes = Scene::new();
    for index in 0..10 {
        let file = many_bytes.layer(Layer::User).join(format!("{index}.wasm"));
        std::fs::create_dir_all(many_bytes.layer(Layer::User)).expect("a folder");
        std::fs::File::create(file).and_then(|file| file.set_len(60 << 20)).expect("a file");
        many_bytes.define(&format!("db{index}"), &probed(&format!("./{index}.wasm")));
    }
    assert_eq!(limit(&validate(&many_bytes)), 1);

    let many_entries = Scene::new();
    let folder = many_entries.layer(Layer::User).join("certs");
    std::fs::create_dir_all(&folder).expect("a folder");
    for index in 0..9_000 {
        std::fs::File::create(folder.join(index.to_string())).expect("a file");
    }
    many_entries.define_in(Layer::User, "mine.wasm", component(&guest(guest::READY)));
    for index in 0..3 {
        let grants = "grants.dirs = [{ host = \"certs\", guest = \"/certs\" }]\n";
        many_entries.define(&format!("db{index}"), &(probed("./mine.wasm") + grants));
    }
    assert_eq!(limit(&validate(&many_entries)), 1);
}
