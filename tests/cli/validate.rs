//! `farrier validate` and `farrier schema`: everything that is wrong, found without an engine.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod limits;
mod probes;

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
