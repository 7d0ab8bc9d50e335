//! The Python launcher's command line and YAML files, with `farrier launch` in place of the script.

use std::path::{Path, PathBuf};

use crate::support::engine::inspect;
use crate::support::launching::assert_answered;
use crate::support::{Layer, Run, Scene, fixture_image, fixture_image_name};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/python");

/// The call that its Makefile makes, with this harness.
fn makefile(scene: &Scene, user: &Path, harness: &[String]) -> Run {
    let text = |path: PathBuf| path.display().to_string();
    let events = text(scene.path("events.jsonl"));
    let run = scene.farrier([
        "launch",
        "--user-tongs",
        &text(user.to_owned()),
        "--org-tongs",
        "",
        "--repo-tongs",
        &text(scene.layer(Layer::Repo)),
        "--workspace-tongs",
        &text(scene.layer(Layer::Workspace)),
        "--workspace",
        &text(scene.workspace()),
        "--approvals",
        &text(scene.path("approvals.json")),
        "--providers",
        &text(scene.path("providers.yaml")),
        "--harness",
        "claude",
        "--anvil-image",
        &fixture_image_name(),
        "--no-prompt",
        "--events",
        &events,
        "--",
    ]);
    run.args(harness)
}

/// Copies a definition of the Python launcher's under the scene's own name, with an image that there is.
fn adapt(scene: &Scene, file: &str, replacements: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(Path::new(FIXTURES).join(file)).expect("a fixture");
    for (from, to) in replacements {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    let (stem, extension) = file.split_once('.').expect("an extension");
    scene.define_in(Layer::User, &format!("{}.{extension}", scene.name(stem)), text);
}

#[test]
fn its_makefile_and_its_definitions_work_as_they_are() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, image, backend) = (scene.network("net"), fixture_image(), scene.network("backend"));
    let health = "[\"/fixture\", \"healthy-when-port\", \"5432\"]";
    let aliases = format!("[{}.test, {}]", scene.name("alias"), scene.name("main"));
    adapt(
        &scene,
        "postgres.yaml",
        &[
            (
                "image: postgres:16",
                &format!("image: {image}\ncommand: [serve, --port, \"5432\", --reply, pong]"),
            ),
            ("[\"pg_isready\", \"-U\", \"postgres\"]", health),
            ("[db.test, postgres-main]", &aliases),
        ],
    );
    adapt(
        &scene,
        "redis.yml",
        &[
            ("\"redis:7\"", &format!("\"{image}\"")),
            (
                "[\"redis-server\", \"--save\", \"\"]",
                "[\"serve\", \"--port\", \"6379\", \"--reply\", \"pong\", \"--log\", \"\"]",
            ),
        ],
    );
    adapt(
        &scene,
        "broker.yaml",
        &[
            ("acme/broker:latest", &image),
            ("[\"/app/entrypoint.sh\"]", "[\"/fixture\", \"wait\"]"),
            ("acme-backend", &backend),
        ],
    );
    let user = scene.layer(Layer::User);
    for stem in ["postgres", "redis"] {
        assert_answered(makefile(&scene, &user, &scene.asking(&network, stem)).output());
    }
    let environment = inspect(&scene.container("broker"), "{{json .Config.Env}}").expect("the broker runs");
    for pair in ["\"LEVEL=010\"", "\"ENABLED=yes\"", "\"EMPTY=\"", "\"URL=http://broker:80/#top\""] {
        assert!(environment.contains(pair), "{pair}: {environment}");
    }
    let memory = inspect(&scene.container("postgres"), "{{.HostConfig.Memory}}");
    assert_eq!(memory.as_deref(), Some("536870912"));
}

#[test]
fn its_refused_definitions_are_refused_all_at_once_before_any_engine_is_asked() {
    let scene = Scene::new();
    let harness = ["docker", "run", "x"].map(str::to_owned);
    let refused = Path::new(FIXTURES).join("refused");
    let run = makefile(&scene, &refused, &harness).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let outcome = run.output().assert_code(125);
    let mut codes = scene.take_codes();
    codes.sort();
    codes.dedup();
    assert_eq!(codes, ["unsupported-interface", "unsupported-mount", "unsupported-secret"], "{outcome}");
    for file in ["github.yaml", "cache.yaml", "git-signing.yaml"] {
        assert!(outcome.stderr().contains(file), "{file}: {outcome}");
    }
}

#[test]
fn a_definition_of_the_workspace_needs_an_approval_before_any_engine_is_asked() {
    let scene = Scene::new();
    let definition = "lifecycle: shared\nimage: x\ninterface: {kind: port, port: 1}\n";
    scene.define_in(Layer::Workspace, "db.yaml", definition);
    let harness = ["docker", "run", "x"].map(str::to_owned);
    let run = makefile(&scene, &scene.layer(Layer::User), &harness);
    run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().assert_code(125);
    assert_eq!(scene.take_codes(), ["approval-required"]);
}

#[test]
fn without_any_definition_its_makefile_executes_the_harness() {
    let scene = Scene::new();
    let run = makefile(&scene, &scene.layer(Layer::User), &["echo", "as it is"].map(str::to_owned));
    let outcome = run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().assert_code(0);
    assert_eq!((outcome.stdout().as_str(), outcome.stderr().as_str()), ("as it is\n", ""));
}
