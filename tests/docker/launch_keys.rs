//! Every key that an engine takes: the container has it, and a second launch finds nothing to change.

use serde_json::Value;

use crate::support::launching::{idler, planned, server};
use crate::support::{Scene, assert_output, docker, fixture_image};

/// A line of a definition, and what inspecting the container then shows, by its place.
const KEYS: &[(&str, &[(&str, &str)])] = &[
    ("user = 1000", &[("/Config/User", "\"1000\"")]),
    ("user = \"7:8\"", &[("/Config/User", "\"7:8\"")]),
    ("working_dir = \"/tmp//x/..\"", &[("/Config/WorkingDir", "\"/tmp\"")]),
    ("hostname = \"alone.test\"", &[("/Config/Hostname", "\"alone.test\"")]),
    ("init = true", &[("/HostConfig/Init", "true")]),
    ("init = false", &[("/HostConfig/Init", "false")]),
    ("read_only = true", &[("/HostConfig/ReadonlyRootfs", "true")]),
    ("cap_add = [\"cap_net_admin\", \"SYS_PTRACE\"]", &[]),
    ("cap_drop = [\"ALL\"]", &[("/HostConfig/CapDrop/0", "\"ALL\"")]),
    (
        "security_opt = [\"no-new-privileges:true\"]",
        &[("/HostConfig/SecurityOpt/0", "\"no-new-privileges\"")],
    ),
    ("security_opt = [\"seccomp:unconfined\"]", &[("/HostConfig/SecurityOpt/0", "\"seccomp=unconfined\"")]),
    ("shm_size = \"32Mi\"", &[("/HostConfig/ShmSize", "33554432")]),
    (
        "ulimits = { nofile = { soft = 1024, hard = 2048 }, core = 0 }",
        &[("/HostConfig/Ulimits/1/Soft", "1024"), ("/HostConfig/Ulimits/1/Hard", "2048")],
    ),
    (
        "devices = [\"/dev/null:/dev/nothing:r\"]",
        &[
            ("/HostConfig/Devices/0/PathInContainer", "\"/dev/nothing\""),
            ("/HostConfig/Devices/0/CgroupPermissions", "\"r\""),
        ],
    ),
    (
        "sysctls = { \"net.ipv4.ip_unprivileged_port_start\" = 80 }",
        &[("/HostConfig/Sysctls", "{\"net.ipv4.ip_unprivileged_port_start\":\"80\"}")],
    ),
    ("extra_hosts = { \"db.test\" = \"10.0.0.5\" }", &[("/HostConfig/ExtraHosts", "[\"db.test:10.0.0.5\"]")]),
    ("labels = { \"team.name\" = \"storage\" }", &[("/Config/Labels/team.name", "\"storage\"")]),
    (
        "resources = { cpus = \"0.5\", pids = 50, memory = \"64Mi\" }",
        &[
            ("/HostConfig/NanoCpus", "500000000"),
            ("/HostConfig/PidsLimit", "50"),
            ("/HostConfig/Memory", "67108864"),
        ],
    ),
    ("restart = \"on-failure:3\"", &[("/HostConfig/RestartPolicy/MaximumRetryCount", "3")]),
    ("restart = \"unless-stopped\"", &[("/HostConfig/RestartPolicy/Name", "\"unless-stopped\"")]),
    (
        "mounts = [\"tmpfs:/scratch:1Mi\", \"tmpfs:/more\"]",
        &[("/HostConfig/Tmpfs", "{\"/more\":\"\",\"/scratch\":\"size=1048576\"}")],
    ),
];

fn inspected(container: &str) -> Value {
    let text = docker(["container", "inspect", "--format", "{{json .}}", container]);
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn the_container_has_what_the_definition_says_and_does_not_drift_from_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let stem = |index: usize| format!("key{index}");
    for (index, (line, _)) in KEYS.iter().enumerate() {
        scene.define(&stem(index), &idler(&fixture_image(), &format!("command = \"wait\"\n{line}")));
    }
    scene.up().output().assert_code(0);
    for (index, (line, shown)) in KEYS.iter().enumerate() {
        let container = inspected(&scene.container(&stem(index)));
        assert_eq!(container.pointer("/State/Running"), Some(&true.into()), "{line}: {container:#}");
        for (pointer, expected) in *shown {
            let found = container.pointer(pointer).map(Value::to_string);
            assert_eq!(found.as_deref(), Some(*expected), "{line}: {:#}", container["HostConfig"]);
        }
    }
    let plan = scene.farrier(["plan", "--format", "json"]).output().assert_code(0);
    let plan: Value = serde_json::from_str(&plan.stdout()).expect("JSON");
    for (decision, (line, _)) in planned(&plan).iter().zip(KEYS) {
        assert_eq!(decision, "reuse: it is running and matches its definition", "{line}: {plan:#}");
    }
    assert_eq!(planned(&plan).len(), KEYS.len());
}

#[test]
fn files_of_variables_become_the_environment_and_a_changed_one_is_the_cause() {
    let Some(scene) = Scene::with_docker() else { return };
    let top = "env = { OWN = \"definition\" }\nenv_file = [\"one.env\", \"two.env\", { path = \"none.env\", required = false }]";
    let file = scene.define("db", &server(&fixture_image(), top));
    let folder = file.parent().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("one.env", "OWN=file\nA=one # a comment\nB='two words'\n");
    write("two.env", "export A=\"later\"\n");
    scene.up().output().assert_code(0);
    let env = inspected(&scene.container("db"))["Config"]["Env"].to_string();
    for variable in ["\"OWN=definition\"", "\"A=later\"", "\"B=two words\""] {
        assert!(env.contains(variable), "{variable}: {env}");
    }
    scene.take_decisions();
    write("two.env", "A=changed\n");
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["recreate: env.A changed"]);
    write("two.env", "A\n");
    let refused = scene.up().output().assert_code(2);
    assert_output!(refused, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[file-unusable]: the file of variables `two.env` cannot be read: line 1: it has no `=` between a name and a value
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:5:24
      |
    5 | env_file = ["one.env", "two.env", { path = "none.env", required = false }]
      |                        ^^^^^^^^^
      |
      = help: Write `NAME=value` on each line; single quotes keep a value as it is.
    "#);
    std::fs::remove_file(folder.join("one.env")).expect("it goes");
    let refused = scene.up().output().assert_code(2);
    assert_output!(refused, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[file-unusable]: `env_file[0]` names `one.env`, which cannot be used: it is not there
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:5:13
      |
    5 | env_file = ["one.env", "two.env", { path = "none.env", required = false }]
      |             ^^^^^^^^^
      |
      = help: Check the path, which starts at the definition's folder.
    error[file-unusable]: the file of variables `two.env` cannot be read: line 1: it has no `=` between a name and a value
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:5:24
      |
    5 | env_file = ["one.env", "two.env", { path = "none.env", required = false }]
      |                        ^^^^^^^^^
      |
      = help: Write `NAME=value` on each line; single quotes keep a value as it is.
    "#);
}

#[test]
fn a_platform_is_that_of_the_image_or_the_image_is_pulled_for_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let own = docker(["version", "--format", "{{.Server.Arch}}"]);
    let line = |platform: &str| format!("command = \"wait\"\nplatform = \"{platform}\"");
    scene.define("db", &idler(&fixture_image(), &line(&own)));
    scene.up().output().assert_code(0);
    scene.take_decisions();
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    let other = if own == "arm64" { "amd64" } else { "arm64" };
    scene.define("db", &idler(&fixture_image(), &line(other)));
    let refused = scene.up().output().assert_code(125);
    assert!(refused.stderr().contains("[image-"), "it is pulled, and nobody has it: {refused}");
}

#[test]
fn a_program_of_this_host_has_none_of_it() {
    let scene = Scene::new();
    for line in ["privileged = true", "labels = { a = \"b\" }", "resources.gpus = \"all\""] {
        let text = format!(
            "lifecycle = \"shared\"\nprogram = [\"sleep\", \"9\"]\n{line}\ninterface.kind = \"none\"\nreadiness.probe = \"skip\"\n"
        );
        scene.define("db", &text);
        let refused = scene.farrier(["validate"]).output().assert_code(125);
        let key = line.split(' ').next().unwrap_or_default();
        assert!(
            refused.to_string().contains("[engine-lacks]")
                && refused.to_string().contains(&format!("`{key}`")),
            "{refused}"
        );
    }
}

#[test]
fn only_what_is_chosen_is_started() {
    let Some(scene) = Scene::with_docker() else { return };
    let idle = |more: &str| idler(&fixture_image(), &format!("command = \"wait\"\n{more}"));
    scene.define("db", &idle(""));
    scene.define("cache", &idle("profiles = [\"debug\"]"));
    let running = || {
        let filter = format!("name={}", scene.token());
        let names = docker(["ps", "--format", "{{.Names}}", "--filter", &filter]);
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    scene.up().output().assert_code(0);
    assert_eq!(running(), [scene.container("db")]);
    scene.up().args(["--profile", "debug"]).output().assert_code(0);
    assert_eq!(running(), [scene.container("cache"), scene.container("db")]);
    scene.farrier(["down", "--yes"]).output().assert_code(0);
    scene.up().arg(scene.name("cache")).output().assert_code(0);
    assert_eq!(running(), [scene.container("cache")]);
    let network = scene.network("net");
    let only = scene.name("db");
    scene
        .launch_with(["--only", &only], scene.in_container(&network, &["exit", "0"]))
        .output()
        .assert_code(0);
    assert_eq!(running(), [scene.container("cache"), scene.container("db")]);
    let unknown = scene.up().arg(format!("{only}x")).output().assert_code(125);
    assert!(
        unknown.stderr().contains("[sidecar-not-found]") && unknown.stderr().contains(&only),
        "{unknown}"
    );
}
