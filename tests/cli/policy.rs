//! Policies: no command gets anything past one, and one that cannot be used permits nothing.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::programs::setup::Programs;
use crate::support::http::{Reply, Server};
use crate::support::launching::server;
use crate::support::skipping::say_skipped;
use crate::support::{Layer, Outcome, Run, Scene, fixture_image, fixture_program, free_port};

/// A definition that joins a network.
const JOINS: &str = "lifecycle = \"shared\"\nimage = \"postgres:16\"\nnetworks = [\"corp\"]\n\
                     [interface]\nkind = \"port\"\nport = 5432\n[readiness]\nprobe = \"tcp\"\n";
/// The policy that refuses it, in its second line.
const NO_NETWORKS: &str = "# Mine.\nnetworks = []\n";
/// Every command that reads definitions in order to start something or to say what would start.
const COMMANDS: &[&[&str]] = &[
    &["launch", "--", "true"],
    &["launch", "--no-prompt", "--", "docker", "run", "--rm", "x"],
    &["up"],
    &["up", "--print", "sh"],
    &["plan"],
    &["plan", "--format", "json"],
    &["plan", "--", "true"],
    &["validate"],
    &["validate", "--format", "json"],
    &["env"],
    &["approve"],
    &["approve", "--format", "json"],
];

fn write_policy(scene: &Scene, text: &str) -> PathBuf {
    let folder = scene.config_home().join("farrier");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("policy.toml");
    fs::write(&file, text).expect("a policy");
    file
}

/// farrier without a terminal and without an engine.
fn unattended<'a>(scene: &Scene, words: impl IntoIterator<Item = &'a str>) -> Run {
    Run::program(scene, "setsid")
        .args(["--wait", env!("CARGO_BIN_EXE_farrier")])
        .args(words)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .env("NO_COLOR", "1")
}

/// Everything that a command told.
fn told(outcome: &Outcome) -> String {
    format!("{}{}", outcome.stdout(), outcome.stderr())
}

#[test]
fn every_command_refuses_what_the_policy_does_not_permit_and_names_both_lines() {
    for layer in [Layer::User, Layer::Workspace] {
        let scene = Scene::new().isolated();
        let policy = write_policy(&scene, NO_NETWORKS);
        scene.define_in(layer, &format!("{}.toml", scene.name("db")), JOINS);
        let name = scene.name("db");
        let reset = ["reset", "--yes", &name];
        let only = ["launch", "--only", &name, "--", "true"];
        for command in COMMANDS.iter().copied().chain([&reset[..], &only[..]]) {
            let outcome = unattended(&scene, command.iter().copied()).output().assert_code(125);
            let told = told(&outcome);
            assert!(told.contains("policy-refused"), "{command:?}: {outcome}");
            assert!(
                told.contains(&format!("{}:2:1, `networks`", policy.display())),
                "{command:?}: {outcome}"
            );
            assert!(!told.contains("nonexistent"), "no engine was asked: {command:?}: {outcome}");
        }
        let shown = unattended(&scene, ["up"]).output().assert_code(125).stderr();
        assert!(shown.contains(&format!("{name}.toml:3:13")), "{shown}");
        assert!(
            shown.contains("help: Remove it") && shown.contains("help: Or change `networks` in line 2"),
            "{shown}"
        );
    }
}

#[test]
fn every_layer_is_bound_and_values_are_judged_after_their_variables() {
    let scene = Scene::new().isolated();
    write_policy(&scene, NO_NETWORKS);
    let variable = JOINS.replace("corp", "${NET}");
    for layer in [Layer::User, Layer::Org, Layer::Repo, Layer::Workspace] {
        let file = scene.define_in(layer, &format!("{}.toml", scene.name("db")), &variable);
        let folder = |layer| scene.layer(layer).display().to_string();
        let (org, repo) = (folder(Layer::Org), folder(Layer::Repo));
        let words = ["validate", "--org-dir", &org, "--repo-dir", &repo];
        let refused = unattended(&scene, words).env("NET", "corp").output().assert_code(125);
        assert!(refused.stdout().contains("error[policy-refused]"), "{layer:?}: {refused}");
        fs::remove_file(file).expect("removed");
    }
    // A stronger layer's definition replaces a weaker one's, which then bounds nothing.
    scene.define_in(Layer::User, &format!("{}.toml", scene.name("db")), JOINS);
    let permitted = JOINS.replace("networks = [\"corp\"]\n", "");
    scene.define_in(Layer::Org, &format!("{}.toml", scene.name("db")), permitted);
    let org = scene.layer(Layer::Org).display().to_string();
    unattended(&scene, ["validate", "--org-dir", &org]).output().assert_code(0);
}

#[test]
fn an_approval_that_was_given_before_permits_nothing_and_nobody_is_asked_in_vain() {
    let scene = Scene::new().isolated();
    let name = scene.name("db");
    scene.define_in(Layer::Workspace, &format!("{name}.toml"), JOINS);
    let state = unattended(&scene, ["approve", "--format", "json"]).output();
    let state: Value = serde_json::from_str(&state.stdout()).expect("JSON");
    let hash = state["sidecars"][0]["hash"].as_str().expect("a hash").to_owned();
    unattended(&scene, ["approve", &name, "--hash", &hash]).output().assert_code(0);
    write_policy(&scene, NO_NETWORKS);
    for command in [&["up"][..], &["approve", &name, "--hash", &hash], &["approve", &name]] {
        let outcome = unattended(&scene, command.iter().copied()).output().assert_code(125);
        assert!(told(&outcome).contains("policy-refused"), "{command:?}: {outcome}");
        assert!(!told(&outcome).contains("hash  "), "nothing is shown to be approved: {outcome}");
    }
    // Lists and revocations give nothing to anybody.
    let list = unattended(&scene, ["approve", "--list"]).output().assert_code(0);
    assert!(list.stdout().contains(&hash), "{list}");
    unattended(&scene, ["approve", "--revoke", &name]).output().assert_code(0);
}

#[test]
fn a_policy_with_very_many_mistakes_is_told_in_short() {
    let scene = Scene::new().isolated();
    scene.define("db", &JOINS.replace("networks = [\"corp\"]\n", ""));
    let rules: String = (0..80_000).map(|number| format!("k{number} = 1\n")).collect();
    write_policy(&scene, &rules);
    let outcome = unattended(&scene, ["plan"]).output().assert_code(125);
    assert!(told(&outcome).contains("more problems, which are not shown"), "{outcome}");
}

#[test]
fn a_rule_that_takes_a_word_names_its_words() {
    let scene = Scene::new().isolated();
    scene.define("db", &JOINS.replace("networks = [\"corp\"]\n", ""));
    for (value, hint) in [("false", "Write one of these words."), ("'any '", "Did you mean \"any\"?")] {
        write_policy(&scene, &format!("programs = {value}\n"));
        let outcome = unattended(&scene, ["plan"]).output().assert_code(125);
        let told = told(&outcome);
        assert!(told.contains("one of \"none\", \"confined\", \"any\""), "{outcome}");
        assert!(told.contains(hint) && !told.contains("in quotes"), "{outcome}");
    }
}

#[test]
fn a_policy_that_cannot_be_used_permits_nothing() {
    let scene = Scene::new().isolated();
    scene.define("db", &JOINS.replace("networks = [\"corp\"]\n", ""));
    let policy = write_policy(&scene, "netwroks = []\nmemory = \"lots\"\n");
    for command in COMMANDS {
        let outcome = unattended(&scene, command.iter().copied()).output().assert_code(125);
        let told = told(&outcome);
        assert_eq!(told.matches("policy-unusable").count(), 2, "both mistakes: {command:?}: {outcome}");
        assert!(told.contains("Did you mean `networks`?"), "{command:?}: {outcome}");
        assert!(told.contains("farrier starts nothing until"), "{command:?}: {outcome}");
    }
    let shown = unattended(&scene, ["up"]).output().assert_code(125).stderr();
    assert!(shown.contains(&format!("{}:1:1", policy.display())), "{shown}");
    let doctor = unattended(&scene, ["doctor"]).output();
    assert!(doctor.stdout().contains("BROKEN policy"), "{doctor}");
    for command in [
        &["probe", "check", "tcp", "--target", "127.0.0.1:1"][..],
        &["probe", "pull", "oci://127.0.0.1:1/x:1"],
        &["probe", "pull"],
        &["probe", "pin"],
        &["probe", "update"],
        &["import", "compose.yaml", "--dry-run"],
    ] {
        fs::write(
            scene.workspace().join("compose.yaml"),
            "services: {db: {image: x, healthcheck: {disable: true}}}",
        )
        .expect("a file");
        let outcome = unattended(&scene, command.iter().copied()).output().assert_code(125);
        assert!(outcome.stderr().contains("error[policy-unusable]"), "{command:?}: {outcome}");
    }
}

#[test]
fn without_sidecars_the_harness_runs_whatever_the_policy_is() {
    let scene = Scene::new().isolated();
    write_policy(&scene, "netwroks = []\n");
    let launch = unattended(&scene, ["launch", "--", "echo", "ran"]).output().assert_code(0);
    assert_eq!((launch.stdout(), launch.stderr()), ("ran\n".to_owned(), String::new()));
    // Whoever checks is told all the same.
    let validate = unattended(&scene, ["validate"]).output().assert_code(125);
    assert!(validate.stdout().contains("error[policy-unusable]"), "{validate}");
}

#[test]
fn commands_say_which_policy_is_in_force() {
    let scene = Scene::new().isolated();
    scene.define("db", &JOINS.replace("networks = [\"corp\"]\n", ""));
    let none = unattended(&scene, ["validate"]).output().assert_code(0);
    assert!(!none.stdout().contains("policy"), "{none}");
    let policy = write_policy(&scene, "memory = '2g'\nnetworks = []\n").display().to_string();
    let validate = unattended(&scene, ["validate"]).output().assert_code(125);
    let line = format!("policy          {policy} (networks, memory)\n");
    assert!(validate.stdout().contains(&line), "{validate}");
    let validate = unattended(&scene, ["validate", "--format", "json"]).output().assert_code(125);
    let value: Value = serde_json::from_str(&validate.stdout()).expect("JSON");
    assert_eq!(value["policies"], serde_json::json!([{"file": policy, "rules": ["networks", "memory"]}]));
    let doctor = unattended(&scene, ["doctor"]).output();
    assert!(
        doctor.stdout().contains(&format!("OK     policy      {policy}: networks, memory\n")),
        "{doctor}"
    );
}

#[test]
fn nothing_is_downloaded_from_a_registry_that_the_policy_does_not_permit() {
    let programs = Programs::new();
    let registry = Server::start(|_| Reply::ok(""));
    let reference = format!("oci://{}/acme/x@sha256:{}", registry.address, "a".repeat(64));
    let program = fixture_program().display().to_string();
    programs.define(
        "one",
        &format!(
            "program = ['{program}', 'wait']\n[interface]\nkind = 'none'\n[readiness]\nprobe = '{reference}'"
        ),
    );
    write_policy(&programs.scene, "registries = [\"ghcr.io\"]\n");
    for command in [
        &["up"][..],
        &["probe", "pull"],
        &["probe", "pin"],
        &["probe", "update"],
        &["probe", "pull", &reference],
        &["probe", "inspect", &reference],
        &["probe", "check", &reference, "--target", "127.0.0.1:1"],
    ] {
        let outcome = programs.farrier(command.iter().copied()).output().assert_code(125);
        assert!(outcome.stderr().contains("error[policy-refused]"), "{command:?}: {outcome}");
    }
    assert_eq!(registry.requests().len(), 0);
    // A permitted registry is asked.
    write_policy(&programs.scene, &format!("registries = [\"{}/acme\"]\n", registry.address));
    programs.farrier(["probe", "pull"]).output();
    assert!(!registry.requests().is_empty());
}

#[test]
fn a_trial_of_a_probe_is_bound() {
    let scene = Scene::new().isolated();
    write_policy(
        &scene,
        "insecure_tls = false\nprobe_memory = \"64m\"\ndigests_only = true\nprograms = \"confined\"\n",
    );
    let port = free_port().to_string();
    let target = format!("127.0.0.1:{port}");
    let check = |words: &[&str]| {
        let all = ["probe", "check"].into_iter().chain(words.iter().copied()).chain(["--target", &target]);
        unattended(&scene, all).output()
    };
    let file = scene.define(
        "db",
        "image = 'x'\ninterface = { kind = 'port', port = 5432 }\n[readiness]\nprobe = 'postgres'\n\
         settings.sslmode = 'require'\n",
    );
    let definition = file.display().to_string();
    for words in [
        &["tcp", "--grant", "tls=insecure"][..],
        &["tcp", "--memory", "65m"],
        &["redis", "--settings", "{\"tls\":\"insecure\"}"],
        &["--definition", &definition],
        &["oci://127.0.0.1:1/x:1"],
        &["exec", "--grant", "exec=[\"true\"]", "--run-commands"],
    ] {
        let outcome = check(words).assert_code(125);
        assert!(outcome.stderr().contains("error[policy-refused]"), "{words:?}: {outcome}");
    }
    let permitted = check(&["tcp"]).assert_code(1);
    assert!(permitted.stdout().contains("connection refused"), "{permitted}");
    let scenario = scene.path("scenario.toml");
    let text = "port = 80\nreadiness.limits.memory = '65m'\n[[poll]]\nexpect = 'ready'\n[[poll.dial]]\n";
    std::fs::write(&scenario, text).expect("a file");
    let scenario = scenario.display().to_string();
    for probe in ["tcp", "oci://127.0.0.1:1/x:1"] {
        let outcome = unattended(&scene, ["probe", "test", probe, &scenario]).output().assert_code(125);
        assert!(outcome.stderr().contains("error[policy-refused]"), "{probe}: {outcome}");
    }
}

#[test]
fn an_import_says_what_the_policy_refuses() {
    let scene = Scene::new().isolated();
    write_policy(&scene, "privileged = false\nengine_socket = false\n");
    let compose = "services:\n  db:\n    image: postgres:16\n    privileged: true\n    ports: [\"5432\"]\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]\n";
    fs::write(scene.workspace().join("compose.yaml"), compose).expect("a file");
    for words in [
        &["import", "compose.yaml", "--layer", "user", "--dry-run"][..],
        &["import", "compose.yaml", "--layer", "user"],
    ] {
        let outcome = unattended(&scene, words.iter().copied()).output().assert_code(125);
        assert!(
            outcome.stderr().contains("`db` is privileged, which the policy does not permit"),
            "{outcome}"
        );
        assert!(outcome.stderr().contains("`engine_socket`"), "{outcome}");
    }
    assert!(scene.layer(Layer::User).join("db.toml").exists(), "it can be edited");
}

#[test]
fn programs_of_this_host_are_bound() {
    let programs = Programs::new();
    let port = free_port();
    programs.serving("api", port, &format!("'--port', '{port}'"));
    for policy in [
        "programs = 'none'",
        "programs = 'confined'",
        "engine_socket = false",
        "networks = []",
        "memory = '1g'",
    ] {
        write_policy(&programs.scene, policy);
        let up = programs.farrier(["up"]).output().assert_code(125);
        assert!(up.stderr().contains("error[policy-refused]"), "{policy}: {up}");
    }
    assert!(programs.all().is_empty());
    write_policy(&programs.scene, "programs = 'any'");
    programs.farrier(["up"]).output().assert_code(0);
}

#[test]
fn a_sidecar_that_runs_already_is_neither_used_nor_touched() {
    let programs = Programs::new();
    let port = free_port();
    programs.serving("api", port, &format!("'--port', '{port}', '--reply', 'pong'"));
    programs.farrier(["up"]).output().assert_code(0);
    let before = programs.only();
    write_policy(&programs.scene, "programs = 'none'");
    let name = programs.scene.name("api");
    for command in [&["up"][..], &["launch", "--", "true"], &["env"], &["plan"], &["reset", "--yes", &name]] {
        let outcome = programs.farrier(command.iter().copied()).output().assert_code(125);
        assert!(outcome.stderr().contains("error[policy-refused]"), "{command:?}: {outcome}");
        assert!(!outcome.stdout().contains("SWARMFORGE_TONG_"), "{command:?}: {outcome}");
    }
    let after = programs.only();
    assert_eq!((&after["id"], &after["state"]), (&before["id"], &"running".into()));
    programs.farrier(["down", "--yes", &name]).output().assert_code(0);
    assert!(programs.all().is_empty());
}

#[test]
fn a_container_that_runs_already_is_neither_used_nor_touched() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    scene.define("db", &server(&fixture_image(), "cap_add = [\"NET_ADMIN\"]\n"));
    scene.farrier(["up"]).output().assert_code(0);
    let id = || {
        crate::support::docker(["inspect", "--format", "{{.Id}} {{.State.Status}}", &scene.container("db")])
    };
    let before = id();
    write_policy(&scene, "capabilities = []");
    for command in [&["up"][..], &["launch", "--", "true"], &["env"], &["plan"]] {
        let outcome = scene.farrier(command.iter().copied()).output().assert_code(125);
        assert!(outcome.stderr().contains("adds the capability NET_ADMIN"), "{command:?}: {outcome}");
    }
    assert_eq!(id(), before);
    let list = scene.farrier(["ps", "--format", "json"]).output().assert_code(0);
    assert!(list.stdout().contains(&scene.name("db")), "{list}");
    write_policy(&scene, "capabilities = ['net_admin']");
    scene.farrier(["up"]).output().assert_code(0);
    assert_eq!(id(), before, "it is used as it is");
}

/// `/etc` is this process's own here, so that the test leaves nothing behind.
#[test]
fn the_machines_policy_bounds_every_user() {
    let scene = Scene::new().isolated();
    scene.define("db", JOINS);
    let etc = scene.path("etc");
    let copied = std::process::Command::new("cp").args(["-a", "/etc"]).arg(&etc).status();
    let farrier = |words: &str| {
        let script = format!("mount --bind '{}' /etc && exec \"$0\" {words}", etc.display());
        Run::program(&scene, "unshare").args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_farrier")])
    };
    if !copied.is_ok_and(|status| status.success()) || farrier("--version").output().code() != Some(0) {
        return say_skipped("this user may not mount anything");
    }
    farrier("validate").output().assert_code(0);
    fs::create_dir_all(etc.join("farrier")).expect("a folder");
    fs::write(etc.join("farrier/policy.toml"), "networks = []\n").expect("a policy");
    write_policy(&scene, "networks = ['corp']\n");
    for words in
        ["validate", "validate --no-workspace", "validate --user-dir \"$XDG_CONFIG_HOME/farrier/sidecars\""]
    {
        let refused = farrier(words).env("NO_COLOR", "1").output().assert_code(125).stdout();
        assert!(refused.contains("/etc/farrier/policy.toml:1:1, `networks`"), "{words}: {refused}");
        assert!(refused.contains("whoever administers this machine"), "{words}: {refused}");
    }
    let homeless =
        farrier("validate --user-dir \"$XDG_CONFIG_HOME/farrier/sidecars\"").env("HOME", "/dev/null");
    homeless.output().assert_code(125);
}
