//! Whose container a name is: a definition that is not trusted never gets another one's.

use super::setup::{approve, asked, containers, declare_server, detached, json, unattended};
use crate::support::engine::{container_id, inspect};
use crate::support::launching::server;
use crate::support::{Layer, Scene, assert_output, fixture_image};

const SCOPE: &str = "{{index .Config.Labels \"farrier.scope\"}}";

#[test]
fn a_folder_without_git_has_a_scope_however_it_is_named() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    scene.define("db", &server(&fixture_image(), ""));
    detached(&scene, &["up"]).output().assert_code(0);
    let trusted = container_id(&scene.container("db")).expect("it runs");
    let folder = scene.path("plain/sidecars");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(
        folder.join(format!("{}.toml", scene.name("db"))),
        server(&fixture_image(), "env.A = \"b\""),
    )
    .expect("a definition");
    std::os::unix::fs::symlink(&folder, scene.path("plain/link")).expect("a link");
    let here = scene.path("plain");
    let options = |named: &str| ["--user-dir=".to_owned(), format!("--workspace-dir={named}")];
    let shown = unattended(&scene, &["approve", "--format", "json"]).args(options("sidecars"));
    let hash = json(&shown.directory(&here).output())["sidecars"][0]["hash"].clone();
    let given = ["approve", &scene.name("db"), "--hash", hash.as_str().expect("a hash")];
    unattended(&scene, &given).args(options("sidecars")).directory(&here).output().assert_code(0);
    let absolute = folder.display().to_string();
    let mut made = Vec::new();
    for named in ["sidecars", "./link/../sidecars", "link", &absolute] {
        detached(&scene, &["up"]).args(options(named)).directory(&here).output().assert_code(0);
        let mut found = containers(&scene);
        found.retain(|name| *name != scene.container("db"));
        let [name] = found.as_slice() else { panic!("{named}: {found:?}") };
        made.push((name.clone(), container_id(name)));
        assert_eq!(inspect(name, SCOPE).map(|scope| scope.len()), Some(32), "{named}");
    }
    made.dedup();
    assert_eq!(made.len(), 1, "one folder, one container: {made:?}");
    assert_eq!(container_id(&scene.container("db")), Some(trusted), "the trusted one was not touched");
}

#[test]
fn a_container_of_another_scope_is_a_taken_name() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    approve(&scene);
    detached(&scene, &["up"]).output().assert_code(0);
    let name = containers(&scene).remove(0);
    let scope = inspect(&name, SCOPE).expect("a scope");
    detached(&scene, &["down", "--yes"]).output().assert_code(0);
    // The same name, as two scopes may have it that begin alike.
    let other = format!("farrier.scope={}{}", &scope[..8], "0".repeat(24));
    let sidecar = format!("farrier.sidecar={}", scene.name("db"));
    let id =
        scene.docker_run(["--name", &name, "--label", &other, "--label", &sidecar, &fixture_image(), "wait"]);
    let outcome = detached(&scene, &["up"]).output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[name-taken]: the container `farrier-db-[TOKEN]-[SCOPE]` belongs to the sidecar `db-[TOKEN]`, which has the same container name
     |
     = help: Remove it with `docker rm -f farrier-db-[TOKEN]-[SCOPE]` if it is not needed.
     = help: Or rename the definition's file: farrier derives the container's name from the file name.
    ");
    assert_eq!(container_id(&name), Some(id));
}

#[test]
fn a_question_says_what_it_would_replace() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    approve(&scene);
    detached(&scene, &["up"]).output().assert_code(0);
    let name = containers(&scene).remove(0);
    let file = format!("{}.toml", scene.name("db"));
    scene.define_in(Layer::Workspace, &file, server(&fixture_image(), "env.A = \"b\""));
    let mut launch = asked(&scene);
    launch.type_text("n\n");
    let shown = launch.wait().assert_code(125).stdout().replace("\r\n  |     ", "");
    assert!(shown.contains(&format!("{name} (running) is recreated: env.A changed")), "{shown}");
    let mut approving = scene.farrier(["approve", "--color", "never"]).spawn_on_terminal(120, 40);
    approving.wait_for_stdout("[y/N] ");
    approving.type_text("n\n");
    let shown = approving.wait().assert_code(125).stdout().replace("\r\n  |     ", "");
    assert!(shown.contains(&format!("{name} (running) is recreated: env.A changed")), "{shown}");
    scene.define_in(Layer::Workspace, &file, server(&fixture_image(), "description = \"changed\""));
    let mut launch = asked(&scene);
    launch.type_text("n\n");
    let shown = launch.wait().assert_code(125).stdout().replace("\r\n  |     ", "");
    assert!(shown.contains(&format!("{name} (running) is reused unchanged")), "{shown}");
}
