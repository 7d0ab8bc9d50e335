//! The question of a launch, on a real terminal.

use super::setup::{PLAIN, approve, asked, containers, declare, declare_server, detached, state, unattended};
use crate::support::engine::inspect;
use crate::support::{Image, Layer, Scene, assert_output, docker, registry};

#[test]
fn only_a_clear_yes_on_the_terminal_starts_anything() {
    for (typed, code) in [
        ("\n", 125),
        ("n\n", 125),
        ("maybe\n", 125),
        ("\u{4}", 125),
        ("\u{3}", 130),
        ("y\n", 0),
        ("YES\n", 0),
    ] {
        let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
        declare_server(&scene);
        let mut launch = asked(&scene);
        launch.type_text(typed);
        let outcome = launch.wait().assert_code(code);
        let approved = code == 0;
        assert_eq!(containers(&scene).len(), usize::from(approved), "{typed:?}: {outcome}");
        assert_eq!(state(&scene)["approved"], approved, "{typed:?}: {outcome}");
        if code == 125 {
            assert!(outcome.stdout().contains("error[approval-required]"), "{typed:?}: {outcome}");
        }
    }
}

#[test]
fn the_question_shows_the_whole_definition() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    scene.network("more");
    let image = crate::support::fixture_image();
    let toml = format!(
        "lifecycle = \"shared\"\nimage = \"{image}\"\ndescription = \"for tests\"\n\
         entrypoint = [\"/fixture\"]\ncommand = [\"serve\", \"--port\", \"7000\"]\nenv = {{ SECRET = \"a b\" }}\n\
         mounts = [\"docker-socket:ro\"]\nnetworks = [\"{}\"]\nresources.memory = \"64m\"\n\
         [interface]\nkind = \"port\"\nport = 7000\naliases = [\"db.test\"]\n\
         [[readiness]]\nprobe = \"tcp\"\ntimeout = \"7s\"\n\
         [[readiness]]\nprobe = \"exec\"\ncommand = [\"/fixture\", \"exit\", \"0\"]\n",
        scene.name("more")
    );
    declare(&scene, &toml.replace("mounts = [\"docker-socket:ro\"]\n", ""));
    let mut launch = asked(&scene);
    launch.type_text("n\n");
    let outcome = launch.wait().assert_code(125);
    let shown = outcome.stdout().replace("\r\n  |     ", "");
    for words in [
        "; the approval is for the name, and so for any image that the name refers to later".to_owned(),
        scene.workspace().canonicalize().expect("a workspace").display().to_string(),
        scene.name("db"),
        format!("docker.io/library/{image}"),
        format!(
            "sha256:{}",
            docker(["image", "inspect", "--format", "{{.Id}}", &image]).trim_start_matches("sha256:")
        ),
        "\"for tests\"".to_owned(),
        "[\"/fixture\"]".to_owned(),
        "[\"serve\",\"--port\",\"7000\"]".to_owned(),
        "env SECRET".to_owned(),
        "\"a b\"".to_owned(),
        format!("[\"{}\"]", scene.name("more")),
        "64 MiB".to_owned(),
        "at port 7000".to_owned(),
        "db.test".to_owned(),
        "tcp, which ships with farrier".to_owned(),
        "7s from the start".to_owned(),
        "[\"/fixture\",\"exit\",\"0\"]".to_owned(),
    ] {
        assert!(shown.contains(&words), "{words}: {outcome}");
    }
}

#[test]
fn standard_input_is_no_answer() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    for words in [&["up"] as &[&str], &["launch", "--", "true"], &["approve"]] {
        let outcome = unattended(&scene, words).stdin("y\ny\n").output().assert_code(125);
        assert!(outcome.stderr().contains("error[approval-required]"), "{outcome}");
        let command = format!("farrier approve {} --hash {}", scene.name("db"), super::setup::hash(&scene));
        assert!(outcome.stderr().contains(&command), "{command}: {outcome}");
        assert_eq!(state(&scene)["approved"], false);
    }
}

#[test]
fn a_terminal_is_not_asked_where_that_was_ruled_out() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    let launch = scene.farrier(["up", "--no-prompt"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let outcome = launch.spawn_on_terminal(80, 24).wait().assert_code(125);
    assert_output!(outcome, @r#"
    exit code 125
    --- stdout
    [1m[91merror[approval-required][0m[1m: `db-[TOKEN]` comes from the workspace, and you have not approved it[0m
     [1m[94m--> [0m[SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:1:1
      [1m[94m|[0m
    [1m[94m1[0m [1m[94m|[0m lifecycle = "shared"
      [1m[94m|[0m [1m[91m^[0m
      [1m[94m|[0m
      [1m[94m= [0m[1mhelp[0m: Review it and answer on a terminal: `farrier approve db-[TOKEN]`.
      [1m[94m= [0m[1mhelp[0m: If you have already reviewed it: `farrier approve db-[TOKEN] --hash [ID]`.
      [1m[94m= [0m[1mhelp[0m: `--no-workspace` starts without the sidecars of the workspace.
    --- stderr
    "#);
    assert!(!outcome.stdout().contains("[y/N]"), "{outcome}");
}

#[test]
fn an_approved_sidecar_is_started_and_reused_without_a_question() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    approve(&scene);
    detached(&scene, &["up"]).output().assert_code(0);
    let names = containers(&scene);
    assert_eq!(names.len(), 1, "{names:?}");
    let before = inspect(&names[0], "{{.Id}} {{.State.StartedAt}}");
    let outcome = detached(&scene, &["up"]).output().assert_code(0);
    assert!(!outcome.stderr().contains("approv"), "{outcome}");
    assert_eq!(inspect(&names[0], "{{.Id}} {{.State.StartedAt}}"), before);
}

#[test]
fn the_container_is_made_from_the_image_that_was_shown() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let shown = scene.image(&Image::new().change("LABEL is=shown"));
    let other = scene.image(&Image::new().change("LABEL is=other"));
    let id = |image: &str| docker(["image", "inspect", "--format", "{{.Id}}", image]);
    let (shown_id, other_id) = (id(&shown), id(&other));
    assert_ne!(shown_id, other_id);
    declare(&scene, &crate::support::launching::server(&shown, ""));
    let mut launch = asked(&scene);
    // Kept by another name, as the tag moves on while somebody reads.
    scene.tag(&shown);
    docker(["tag", &other, &shown]);
    launch.type_text("y\n");
    launch.wait().assert_code(0);
    let names = containers(&scene);
    assert_eq!(inspect(&names[0], "{{.Image}}").as_deref(), Some(shown_id.as_str()));
    // The next launch sees where the tag leads now, and says so.
    detached(&scene, &["up"]).output().assert_code(0);
    assert_eq!(inspect(&names[0], "{{.Image}}").as_deref(), Some(other_id.as_str()));
}

#[test]
fn the_engine_s_socket_wants_a_pinned_image_and_the_sidecar_s_name() {
    let scene = Scene::new().isolated();
    let toml = PLAIN.replace("env =", "mounts = [\"docker-socket\"]\nenv =");
    declare(&scene, &toml);
    let outcome = unattended(&scene, &["up"]).output().assert_code(125);
    assert_output!(outcome, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[unsupported-mount]: `db-[TOKEN]` comes from the workspace and mounts the engine's socket, and its image is not pinned by a digest
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:2:9
      |
    2 | image = "postgres:16"
      |         ^^^^^^^^^^^^^
      |
      = help: Write the image as `name@sha256:…`, so that an approval is for one image only.
    "#);
    declare(&scene, &toml.replace("postgres:16", &format!("postgres:16@sha256:{}", "a".repeat(64))));
    let name = scene.name("db");
    for (typed, code) in [("y\n", 125), ("yes\n", 125), ("\n", 125), (format!("{name}\n").as_str(), 0)] {
        let mut asking = scene.farrier(["approve"]).spawn_on_terminal(100, 40);
        asking.wait_for_stdout(&format!("type its name, {name}: "));
        asking.type_text(typed);
        let outcome = asking.wait().assert_code(code);
        assert!(outcome.stdout().contains("controls this machine"), "{outcome}");
        assert_eq!(state(&scene)["approved"], code == 0, "{typed:?}");
    }
}

#[test]
fn the_engine_s_socket_is_not_answered_by_a_reflex_whatever_the_name() {
    let scene = Scene::new().isolated();
    let pinned = format!("postgres:16@sha256:{}", "a".repeat(64));
    let toml = PLAIN.replace("postgres:16", &pinned).replace("env =", "mounts = [\"docker-socket\"]\nenv =");
    scene.define_in(Layer::Workspace, "y.toml", toml);
    for (typed, code) in [("y\n", 125), ("yes\n", 125), ("approve y\n", 0)] {
        let mut asking = scene.farrier(["approve"]).spawn_on_terminal(100, 40);
        asking.wait_for_stdout("type `approve y`: ");
        asking.type_text(typed);
        let outcome = asking.wait().assert_code(code);
        assert_eq!(state(&scene)["approved"], code == 0, "{typed:?}: {outcome}");
    }
}

#[test]
fn a_question_fits_two_screens_and_begins_with_what_is_dangerous() {
    let scene = Scene::new().isolated();
    let env: String = (0..500).map(|count| format!("V{count} = \"{count}\"\n")).collect();
    let long = format!("command = [\"{}\"]\nnetworks = [\"n\"]\n", "x".repeat(100_000));
    declare(&scene, &format!("{}[env]\n{env}", PLAIN.replace("env = { A = \"one\" }\n", &long)));
    let mut asking = scene.farrier(["approve", "--color", "never"]).spawn_on_terminal(80, 24);
    asking.wait_for_stdout("[y/N] ");
    asking.type_text("n\n");
    let shown = asking.wait().assert_code(125).stdout();
    let question = shown.split("[y/N]").next().unwrap_or_default();
    assert!(question.lines().count() <= 48, "{} lines", question.lines().count());
    for part in [" bytes, sha256 ", " more lines, sha256 ", "farrier approve ", "--format json"] {
        assert!(question.replace("\r\n  |     ", "").contains(part), "{part}: {question}");
    }
    let labels = question.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let labels: Vec<&str> = labels.filter(|label| *label != "|").collect();
    assert_eq!(labels[..3], ["mounts", "networks", "image"], "{question}");
    let first_env = labels.iter().position(|label| *label == "env");
    assert!(first_env > labels.iter().rposition(|label| *label == "readiness:"), "{question}");
    let whole = unattended(&scene, &["approve", "--format", "json"]).output().stdout();
    assert!(whole.contains(&"x".repeat(100_000)) && whole.contains("env V499"), "all of it for scripts");
}

#[test]
fn each_yes_is_kept_though_the_next_answer_is_no() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    let second = format!("{}.toml", scene.name("zz"));
    scene.define_in(
        Layer::Workspace,
        &second,
        crate::support::launching::server(&crate::support::fixture_image(), ""),
    );
    let mut launch = asked(&scene);
    launch.type_text("y\n");
    launch.wait_for_stdout(&format!("Approve `{}`", scene.name("zz")));
    launch.type_text("n\n");
    launch.wait().assert_code(125);
    assert_eq!(containers(&scene), Vec::<String>::new());
    let outcome = unattended(&scene, &["approve", "--format", "json"]).output().assert_code(125);
    let sidecars = super::setup::json(&outcome)["sidecars"].clone();
    assert_eq!((&sidecars[0]["approved"], &sidecars[1]["approved"]), (&true.into(), &false.into()));
}

#[test]
fn two_launches_that_ask_at_once_make_one_container_and_lose_no_answer() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    let mut launches = [asked(&scene), asked(&scene)];
    for launch in &mut launches {
        launch.type_text("y\n");
    }
    for launch in launches {
        launch.wait().assert_code(0);
    }
    assert_eq!(containers(&scene).len(), 1);
    let list = unattended(&scene, &["approve", "--list", "--format", "json"]).output().assert_code(0);
    assert_eq!(super::setup::json(&list)["approvals"].as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn an_image_that_is_pulled_is_used_by_the_id_that_came() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let Some(registry) = registry::start(&scene) else { return };
    let reference = registry.publish(&crate::support::fixture_image(), &format!("{}:1", scene.token()));
    let folder = scene.home().join(".docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    let configuration = registry::client_configuration(&registry.address, true);
    std::fs::write(folder.join("config.json"), configuration).expect("a file");
    declare(&scene, &crate::support::launching::server(&reference, "entrypoint = [\"/fixture\"]"));
    let mut launch = asked(&scene);
    launch.type_text("y\n");
    let outcome = launch.wait().assert_code(0);
    assert!(outcome.stdout().contains("not present yet: the launch pulls it"), "{outcome}");
    let name = containers(&scene).remove(0);
    let id = docker(["image", "inspect", "--format", "{{.Id}}", &reference]);
    assert_eq!(inspect(&name, "{{.Config.Image}} {{.Image}}"), Some(format!("{id} {id}")));
    detached(&scene, &["down", "--yes"]).output().assert_code(0);
    docker(["rmi", &reference]);
}

#[test]
fn sidecars_of_a_workspace_meet_on_a_network_of_its_own() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    declare_server(&scene);
    approve(&scene);
    detached(&scene, &["up"]).output().assert_code(0);
    let names = containers(&scene);
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let networks = inspect(&names[0], format).unwrap_or_default();
    let scope = inspect(&names[0], "{{index .Config.Labels \"farrier.scope\"}}").unwrap_or_default();
    assert!(scope.len() == 32 && names[0].ends_with(&scope[..8]), "{names:?} {scope}");
    assert_eq!(
        networks.trim(),
        format!("farrier-{scope}"),
        "the container's own scope, and no other network"
    );
    let plan = detached(&scene, &["plan"]).output().assert_code(0);
    assert!(plan.stdout().contains(&format!("network farrier-{scope}: use")), "{plan}");
}
