//! `farrier new`: a first definition that is valid as it stands.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use crate::support::{Image, Layer, Scene, assert_output};

fn validates(scene: &Scene) {
    let checked = scene.farrier(["validate", "--no-workspace"]).output().assert_code(0);
    assert!(checked.stdout().contains(" 0 errors, 0 warnings"), "{checked}");
}

#[test]
fn a_definition_of_any_image_and_probe_is_valid() {
    let images = [
        ("postgres:16", "port = 5432", "probe = \"postgres\""),
        (
            "docker.io/library/redis@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "port = 6379",
            "probe = \"redis\"",
        ),
        ("localhost:5000/team/mariadb:11", "port = 3306", "probe = \"mysql\""),
        ("nginx", "port = 80", "probe = \"http\""),
        ("apache/kafka:4.0.0", "PLAINTEXT://db:9092", "probe = \"log\""),
        ("confluentinc/cp-kafka", "port = 9092", "probe = \"tcp\""),
        ("localstack/localstack", "port = 4566", "path = \"/_localstack/health\""),
        (
            "docker.elastic.co/elasticsearch/elasticsearch:8.15.0",
            "env.\"discovery.type\"",
            "probe = \"http\"",
        ),
        ("otel/opentelemetry-collector-contrib:0.110.0", "port = 4317", "probe = \"tcp\""),
        ("minio/minio", "command = [\"server\", \"/data\"]", "path = \"/minio/health/ready\""),
        ("rabbitmq:3-management", "port = 5672", "probe = \"amqp\""),
        ("mongo:7", "port = 27017", "probe = \"tcp\""),
        ("memcached", "port = 11211", "probe = \"memcached\""),
        ("mailhog/mailhog", "port = 1025", "probe = \"smtp\""),
        ("axllent/mailpit", "port = 1025", "grants = { dial = [\"self:8025\"] }"),
        ("ghcr.io/github/github-mcp-server", "port = 8080", "probe = \"mcp\""),
        ("example/unknown:1", "kind = \"none\"", "probe = \"skip\""),
    ];
    for (image, port, probe) in images {
        let scene = Scene::new();
        scene.farrier(["new", "db", "--layer", "user", "--image", image]).output().assert_code(0);
        let text = std::fs::read_to_string(scene.layer(Layer::User).join("db.toml")).expect("a definition");
        assert!(text.contains(port) && text.contains(probe), "{text}");
        validates(&scene);
    }
    for probe in farrier::definition::BUILT_IN {
        let scene = Scene::new();
        let run = scene.farrier(["new", "db", "--layer", "user", "--image", "example/server:1"]);
        run.args(["--port", "8080", "--probe", probe]).output().assert_code(0);
        validates(&scene);
    }
}

/// Each image that is known by its name gets a definition that holds.
#[test]
fn a_definition_of_every_known_image_is_valid() {
    let table = include_str!("../../src/definition/known_images.rs");
    let names = table.lines().filter_map(|line| line.trim().strip_prefix("known(&["));
    let names: Vec<&str> = names.filter_map(|rest| rest.split('"').nth(1)).collect();
    assert!(names.len() > 50, "{names:?}");
    let scene = Scene::new();
    for (index, image) in names.iter().enumerate() {
        let name = format!("known-{index}");
        let run = scene.farrier(["new", &name, "--layer", "user", "--image", image]);
        run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().assert_code(0);
        let text =
            std::fs::read_to_string(scene.layer(Layer::User).join(format!("{name}.toml"))).expect("it");
        assert!(!text.contains("kind = \"none\"") && !text.contains("probe = \"skip\""), "{image}: {text}");
    }
    validates(&scene);
}

#[test]
fn an_image_that_is_present_says_what_it_exposes_and_how_it_is_tested() {
    let Some(scene) = Scene::with_docker() else { return };
    let exposes = scene.image(&Image::new().change("EXPOSE 9000/tcp 7000 53/udp"));
    let tested = Image::new().change("EXPOSE 7000").change("HEALTHCHECK CMD [\"/fixture\", \"exit\", \"0\"]");
    let tested = scene.image(&tested);
    let untested = scene.image(&Image::new().change("HEALTHCHECK NONE"));
    for (name, image, expected) in [
        ("exposes", &exposes, &["port = 7000\n", "also exposes 9000", "probe = \"tcp\""][..]),
        ("tested", &tested, &["port = 7000\n", "probe = \"healthcheck\""]),
        ("untested", &untested, &["kind = \"none\"", "probe = \"skip\""]),
    ] {
        let outcome =
            scene.farrier(["new", name, "--layer", "user", "--image", image]).output().assert_code(0);
        let path = scene.layer(Layer::User).join(format!("{name}.toml"));
        let text = std::fs::read_to_string(path).expect("a definition");
        for words in expected {
            assert!(text.contains(words), "{name}: {words}: {text}");
        }
        assert_eq!(
            outcome.stdout().contains("farrier does not know this image"),
            name == "untested",
            "{outcome}"
        );
    }
    validates(&scene);
}

#[test]
fn an_engine_that_never_answers_is_not_waited_for() {
    let scene = Scene::new();
    let socket = scene.path("silent.sock");
    // Whoever connects waits in the backlog for ever.
    let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let run = scene.farrier(["new", "db", "--layer", "user", "--image", "example/unknown:1"]);
    run.env("DOCKER_HOST", format!("unix://{}", socket.display())).output().assert_code(0);
    assert!(scene.layer(Layer::User).join("db.toml").is_file());
}

#[test]
fn it_goes_to_the_workspace_and_says_what_comes_next() {
    let scene = Scene::new();
    let outcome = scene.farrier(["new", "db", "--image", "postgres:16"]).output().assert_code(0);
    let path = scene.layer(Layer::Workspace).join("db.toml");
    let first = format!("{} declares `db`. Next:", path.display());
    assert_eq!(outcome.stdout().lines().next(), Some(first.as_str()), "{outcome}");
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    [SCENE]/workspace/.farrier/sidecars/db.toml declares `db`. Next:
      edit it, then check it with `farrier validate`
      farrier approve db    because workspace definitions are not trusted
      farrier up
    --- stderr
    ");
    assert!(path.with_file_name("farrier.schema.json").is_file());

    let outside = Scene::new();
    let run = outside.farrier(["new", "db", "--image", "postgres:16"]).directory(outside.home());
    let outcome = run.output().assert_code(0);
    assert!(outside.layer(Layer::User).join("db.toml").is_file(), "{outcome}");
    assert!(!outcome.stdout().contains("approve"), "{outcome}");
}

#[test]
fn nothing_that_is_there_is_touched() {
    let scene = Scene::new();
    for file in ["db.toml", "db.yaml", "db.yml"] {
        let path = scene.define_in(Layer::User, file, "mine");
        let run = scene.farrier(["new", "db", "--layer", "user", "--image", "postgres:16"]);
        let outcome = run.output().assert_code(2);
        assert!(outcome.stderr().contains("error[duplicate-definition]"), "{outcome}");
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "mine");
        std::fs::remove_file(path).expect("it goes");
    }
    let schema = scene.define_in(Layer::User, "farrier.schema.json", "mine");
    scene.farrier(["new", "db", "--layer", "user", "--image", "postgres:16"]).output().assert_code(0);
    assert_eq!(std::fs::read_to_string(schema).expect("the file"), "mine");
}

#[test]
fn a_workspace_cannot_lead_it_elsewhere() {
    let scene = Scene::new();
    let elsewhere = scene.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    std::fs::create_dir(scene.workspace().join(".farrier")).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, scene.workspace().join(".farrier/sidecars")).expect("a link");
    let outcome = scene.farrier(["new", "db", "--image", "redis:7"]).output().assert_code(2);
    assert_output!(outcome, @"
    exit code 2
    --- stdout
    --- stderr
    error[outside-workspace]: the path leads out of the workspace through a symlink
    --> [SCENE]/workspace/.farrier/sidecars
     = help: Put the file itself into the workspace, or move the definition to the user's own layer.
    ");
    assert_eq!(std::fs::read_dir(&elsewhere).expect("the folder").count(), 0, "{outcome}");
}

#[test]
fn what_cannot_be_declared_is_refused() {
    let cases: &[(&[&str], &str)] = &[
        (&["new", "../db", "--image", "x"], "error[invalid-value]"),
        (&["new", "-db", "--image", "x"], "error"),
        (&["new", "", "--image", "x"], "error[invalid-value]"),
        (&["new", "db", "--image", "UPPER"], "error[invalid-value]"),
        (&["new", "db", "--image", "x\" = 1"], "error[invalid-value]"),
        (&["new", "db", "--image", "x", "--port", "0"], "error"),
        (&["new", "db", "--image", "x", "--probe", "mine"], "error"),
        (&["new", "db", "--image", "x", "--layer", "org"], "error[layer-unusable]"),
        (&["new", "db", "--image", "x", "--layer", "workspace", "--no-workspace"], "error[layer-unusable]"),
        (&["new", "db"], "error"),
        // What options put together may be wrong, too.
        (&["new", "db", "--image", "x", "--probe", "tcp", "--layer", "user"], "error[conflicting-fields]"),
        (&["new", "db.prod", "--image", "redis:7"], "error[invalid-value]"),
    ];
    for (arguments, expected) in cases {
        let scene = Scene::new();
        let outcome = scene.farrier(*arguments).output().assert_code(2);
        assert!(outcome.stderr().contains(expected), "{arguments:?}: {outcome}");
        for layer in [Layer::User, Layer::Workspace] {
            let left = std::fs::read_dir(scene.layer(layer)).expect("the folder").count();
            assert_eq!(left, 0, "{arguments:?}: {outcome}");
        }
    }
}
