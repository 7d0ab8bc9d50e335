//! Named volumes and bound files: what stays, what recreates, and what a workspace cannot reach.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::launching::{idler, server};
use crate::support::scene::Layer;
use crate::support::servers::postgres_image;
use crate::support::{Scene, assert_output, docker, fixture_image, free_port};

/// As the official image does it: the scripts run once, on a new cluster.
const START: &str = "set -e; cd /tmp; d=/var/lib/postgresql/data; if [ ! -s $d/PG_VERSION ]; then \
    initdb --pgdata=$d --username=postgres --auth=trust --no-locale --encoding=UTF8 --no-sync; \
    echo 'host all all all trust' >>$d/pg_hba.conf; \
    for f in /docker-entrypoint-initdb.d/*.sql; do postgres --single -D $d postgres <$f; done; fi; \
    exec postgres -D $d -c listen_addresses='*'";

fn asked(scene: &Scene, query: &str) -> String {
    let container = scene.container("db");
    docker(["exec", &container, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", query])
}

/// What a harness on this host is answered, which has its client from the image.
fn asked_by_a_harness(scene: &Scene, image: &str, query: &str) -> String {
    let variable = format!("SWARMFORGE_TONG_{}", scene.variable("db"));
    let ask = format!(
        "docker run --rm --network host --label {} --entrypoint psql {image} \
         -h ${{{variable}_HOST}} -p ${{{variable}_PORT}} -U postgres -Atc \"{query}\"",
        scene.label()
    );
    scene.launch(["sh", "-c", &ask]).output().assert_code(0).stdout().trim_end().to_owned()
}

/// The life of a database at this port, whose image a definition names like this, on any engine.
fn live(scene: &Scene, image: &str, port: u16, ask: &dyn Fn(&str) -> String) {
    let definition = |env: &str| {
        format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\nentrypoint = [\"/bin/sh\", \"-c\", \"\"\"{START} -c port={port}\"\"\"]\n\
             env = {{ LEVEL = \"{env}\" }}\n\
             mounts = [\"volume:data:/var/lib/postgresql\", \"bind:./init.sql:/docker-entrypoint-initdb.d/init.sql:ro\"]\n\
             [interface]\nkind = \"port\"\nport = {port}\n[readiness]\nprobe = \"postgres\"\ntimeout = \"120s\"\n"
        )
    };
    let file = scene.define("db", &definition("1"));
    let script = file.parent().expect("a folder").join("init.sql");
    std::fs::write(
        &script,
        "create table runs (at timestamptz default now());\ninsert into runs default values;\n",
    )
    .expect("a script");
    scene.up().output().assert_code(0);
    scene.take_decisions();
    ask("create table kept (what text)");
    ask("insert into kept values ('data')");

    scene.take_decisions();
    scene.define("db", &definition("2"));
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["recreate: env.LEVEL changed"]);
    assert_eq!(ask("select what from kept"), "data");

    scene.take_decisions();
    std::fs::write(&script, "select 1;\n").expect("a script");
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["recreate: init.sql changed"]);

    let down = scene.farrier(["down", "--yes", &scene.name("db")]).output().assert_code(0);
    assert!(!down.stdout().contains("volume"), "{down}");
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["create: it does not exist"]);
    assert_eq!(ask("select what from kept"), "data");
    assert_eq!(ask("select count(*) from runs"), "1", "the script ran once");
}

#[test]
fn data_of_postgresql_outlives_edits_and_down_and_its_script_runs_once() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = postgres_image() else { return };
    live(&scene, &image, 5432, &|query| asked(&scene, query));
    let volume = format!("{}_data", scene.container("db"));
    let label = docker(["volume", "inspect", "--format", "{{index .Labels \"farrier.sidecar\"}}", &volume]);
    assert_eq!(label, scene.name("db"));
}

#[test]
fn the_same_definition_runs_without_docker_and_its_data_stays_too() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = postgres_image() else { return };
    let scene = scene.isolated();
    let archive = scene.layer(Layer::User).join("postgres.tar");
    docker(["save", "--output", &archive.display().to_string(), &image]);
    let port = free_port();
    live(&scene, "docker-archive:./postgres.tar", port, &|query| asked_by_a_harness(&scene, &image, query));
    let name = scene.name("db");
    let down = scene.farrier(["down", "--yes", "--volumes", &name]).output().assert_code(0);
    assert!(down.stdout().contains(&format!("removed the volume {}_data", scene.container("db"))), "{down}");
}

fn volumes(scene: &Scene) -> Vec<String> {
    let all = docker(["volume", "ls", "--quiet", "--filter", &format!("name={}", scene.token())]);
    all.lines().map(str::to_owned).collect()
}

#[test]
fn down_names_each_volume_and_asks_and_reset_begins_again() {
    let Some(scene) = Scene::with_docker() else { return };
    let mounts = "command = \"wait\"\nmounts = [\"volume:data:/data\", \"volume:more:/more:ro\"]";
    scene.define("db", &idler(&fixture_image(), mounts));
    scene.up().output().assert_code(0);
    let own = [format!("{}_data", scene.container("db")), format!("{}_more", scene.container("db"))];
    assert_eq!(volumes(&scene), own);
    docker(["exec", &scene.container("db"), "/fixture", "write", "/data/kept", "words"]);

    let mut asking = scene.farrier(["down", "--volumes", &scene.name("db")]).spawn_on_terminal(120, 24);
    asking.wait_for_stdout("Remove 1 sidecar and 2 volumes with their data? [y/N]");
    asking.type_text("n\n");
    let outcome = asking.wait().assert_code(0);
    assert!(own.iter().all(|name| outcome.stdout().contains(name)), "{outcome}");
    assert_eq!(volumes(&scene), own);

    // Whether it was stopped or removed.
    docker(["stop", "--time", "0", &scene.container("db")]);
    scene.up().output().assert_code(0);
    assert_eq!(docker(["exec", &scene.container("db"), "/fixture", "read", "/data/kept"]), "words");
    scene.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(volumes(&scene), own);
    scene.up().output().assert_code(0);
    assert_eq!(docker(["exec", &scene.container("db"), "/fixture", "read", "/data/kept"]), "words");

    scene.farrier(["reset", &scene.name("db")]).output().assert_code(125);
    scene.farrier(["reset", "--yes", &scene.name("db")]).output().assert_code(0);
    let found = std::process::Command::new("docker")
        .args(["exec", &scene.container("db"), "/fixture", "healthy-when-file", "/data/kept"])
        .output()
        .expect("docker runs");
    assert_eq!(found.status.code(), Some(1), "the data is gone: {found:?}");
    assert_eq!(volumes(&scene), own);

    scene.farrier(["down", "--yes"]).output().assert_code(0);
    let removed = scene.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(
        own.iter().all(|name| removed.stdout().contains(&format!("removed the volume {name}"))),
        "{removed}"
    );
    assert_eq!(volumes(&scene), Vec::<String>::new());
}

#[test]
fn a_volume_of_somebody_else_is_not_taken() {
    let Some(scene) = Scene::with_docker() else { return };
    let volume = format!("{}_data", scene.container("db"));
    docker(["volume", "create", &volume]);
    scene.define("db", &idler(&fixture_image(), "command = \"wait\"\nmounts = [\"volume:data:/data\"]"));
    let refused = scene.up().output().assert_code(125);
    assert!(refused.stderr().contains("[name-taken]") && refused.stderr().contains(&volume), "{refused}");
    let removed = scene.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(!removed.stdout().contains(&volume), "{removed}");
    assert_eq!(volumes(&scene), [volume]);
}

#[test]
fn a_bound_file_is_seen_and_an_anonymous_volume_gives_way_to_a_named_one() {
    let Some(scene) = Scene::with_docker() else { return };
    let file = scene.define(
        "db",
        &server(&fixture_image(), "mounts = [\"bind:./greeting:/greeting:ro\", \"bind:~/data:/data\"]"),
    );
    std::fs::write(file.parent().expect("a folder").join("greeting"), "hello").expect("a file");
    let absent = scene.up().output().assert_code(2);
    assert_output!(absent, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[file-unusable]: `mounts[1]` names `~/data`, which cannot be used: it is not there
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:4:43
      |
    4 | mounts = ["bind:./greeting:/greeting:ro", "bind:~/data:/data"]
      |                                           ^^^^^^^^^^^^^^^^^^^
      |
      = help: Check the path, which starts at the definition's folder.
    "#);
    std::fs::create_dir(scene.home().join("data")).expect("a folder");
    scene.up().output().assert_code(0);
    let container = scene.container("db");
    assert_eq!(docker(["exec", &container, "/fixture", "read", "/greeting"]), "hello");
    docker(["exec", "--user", "0", &container, "/fixture", "write", "/data/made", "inside"]);
    assert_eq!(std::fs::read_to_string(scene.home().join("data/made")).expect("it is here"), "inside");
    scene.take_decisions();
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    docker(["exec", "--user", "0", &container, "/fixture", "write", "/data/made", ""]);
}

#[test]
fn a_workspace_binds_copies_of_its_own_files_only() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let name = scene.name("db");
    let approve = || scene.farrier(["approve", "--format", "json"]).output();
    let define = |mounts: &str| {
        let text = idler(&fixture_image(), &format!("command = \"wait\"\nmounts = [{mounts}]"));
        scene.define_in(Layer::Workspace, &format!("{name}.toml"), text)
    };
    let folder = scene.layer(Layer::Workspace);
    std::fs::write(folder.join("good"), "workspace").expect("a file");
    std::fs::write(scene.home().join("secret"), "secret").expect("a file");
    symlink(scene.home().join("secret"), folder.join("link")).expect("a link");
    symlink(scene.home(), folder.join("folder-link")).expect("a link");
    for (source, code) in [
        ("/etc/passwd", "outside-workspace"),
        ("~/secret", "outside-workspace"),
        ("link", "outside-workspace"),
        ("folder-link/secret", "outside-workspace"),
        ("../../../home/secret", "outside-workspace"),
        ("../..", "unsupported-mount"),
        ("none", "file-unusable"),
    ] {
        define(&format!("\"bind:{source}:/x:ro\""));
        let refused = scene.farrier(["validate"]).output();
        assert!(refused.to_string().contains(&format!("[{code}]")), "{source}: {refused}");
        assert!(!refused.to_string().contains("root:x"), "{refused}");
    }
    define("\"bind:good:/x\"");
    let refused = scene.farrier(["validate"]).output().assert_code(125);
    assert!(refused.to_string().contains("[unsupported-mount]"), "{refused}");

    define("\"bind:good:/x:ro\"");
    let asked: Value = serde_json::from_str(&approve().stdout()).expect("JSON");
    assert!(asked.to_string().contains("good"), "{asked:#}");
    let hash = asked["sidecars"][0]["hash"].as_str().unwrap_or_default().to_owned();
    scene.farrier(["approve", &name, "--hash", &hash]).output().assert_code(0);
    scene.up().output().assert_code(0);
    let containers = docker(["ps", "--format", "{{.Names}}", "--filter", &format!("name={}", scene.token())]);
    let container = containers.lines().next().expect("it runs").to_owned();
    assert_eq!(docker(["exec", &container, "/fixture", "read", "/x"]), "workspace");
    // Whatever becomes of the path: the container has what was approved.
    std::fs::remove_file(folder.join("good")).expect("it goes");
    symlink(scene.home().join("secret"), folder.join("good")).expect("a link");
    docker(["restart", "--time", "0", &container]);
    assert_eq!(docker(["exec", &container, "/fixture", "read", "/x"]), "workspace");
    // Another content is another question.
    std::fs::remove_file(folder.join("good")).expect("it goes");
    std::fs::write(folder.join("good"), "changed").expect("a file");
    let refused = scene.up().output().assert_code(125);
    assert_output!(refused, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `db-[TOKEN]` comes from the workspace, and it has changed since you approved it: mounts
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:1
      |
    1 | lifecycle = "shared"
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve db-[TOKEN]`.
      = help: If you have already reviewed it: `farrier approve db-[TOKEN] --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    "#);
    // A copy goes with the container that mounts it.
    let copies = || {
        let folder = scene.state_home().join("farrier/bound");
        let read =
            |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.expect("one").path());
        std::fs::read_dir(folder).expect("copies").map(|entry| read(entry).expect("text")).collect::<Vec<_>>()
    };
    assert_eq!(copies(), ["workspace"]);
    let asked: Value = serde_json::from_str(&approve().stdout()).expect("JSON");
    let hash = asked["sidecars"][0]["hash"].as_str().unwrap_or_default().to_owned();
    scene.farrier(["approve", &name, "--hash", &hash]).output().assert_code(0);
    scene.up().output().assert_code(0);
    assert_eq!(docker(["exec", &container, "/fixture", "read", "/x"]), "changed");
    assert_eq!(copies(), ["changed"]);
    scene.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(copies(), Vec::<String>::new());
}
