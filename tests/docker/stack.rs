//! A whole stack from a compose file, and the recipes of `docs/launching.md` for tests, shells and CI, on it.

mod database_url;

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::scene::Layer;
use crate::support::servers::{postgres_image, redis_image};
use crate::support::skipping::say_skipped;
use crate::support::{Run, Scene, docker, fixture_image, pypi};

const PAGE: &str = include_str!("../../docs/launching.md");

/// The file, with the sidecars' names by the scene.
fn compose(scene: &Scene, postgres: &str, redis: &str) -> String {
    let text = r#"
x-probing: &probing {interval: 1s, timeout: 3s, retries: 60}
services:
  DB:
    image: POSTGRES
    volumes: ["data:/var/lib/postgresql"]
    healthcheck: {<<: *probing, test: ["CMD", "pg_isready", "-U", "postgres"]}
  CACHE:
    image: REDIS
    healthcheck: {<<: *probing, test: ["CMD", "redis-cli", "ping"]}
  STORE:
    image: FIXTURE
    command: ["serve", "--port", "9000", "--reply", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    expose: ["9000"]
    healthcheck: {<<: *probing, test: "curl -f http://localhost:9000/minio/health/live"}
  APP:
    image: FIXTURE
    command: ["serve", "--port", "8000", "--reply-env", "DB_HOST"]
    environment: {DB_HOST: DB}
    expose: ["8000"]
    depends_on: {DB: {condition: service_healthy}, CACHE: {condition: service_healthy}, STORE: {condition: service_healthy}}
volumes: {data: {}}
"#;
    let text =
        text.replace("POSTGRES", postgres).replace("REDIS", redis).replace("FIXTURE", &fixture_image());
    ["DB", "CACHE", "STORE", "APP"].into_iter().fold(text, |text, name| {
        let own = scene.name(&name.to_lowercase());
        text.replace(&format!("  {name}:"), &format!("  {own}:"))
            .replace(&format!("{{{name}:"), &format!("{{{own}:"))
            .replace(&format!(" {name}:"), &format!(" {own}:"))
            .replace(&format!(": {name}}}"), &format!(": {own}}}"))
    })
}

/// The first block in this language under a heading of the page.
fn recipe(heading: &str, language: &str) -> String {
    let (_, section) = PAGE.split_once(&format!("### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let (_, block) =
        section.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no {language}"));
    block.split("\n```").next().expect("a block").to_owned() + "\n"
}

/// A program that finds farrier by its name.
fn with_farrier(scene: &Scene, program: impl Into<std::path::PathBuf>) -> Run {
    let folder = Path::new(env!("CARGO_BIN_EXE_farrier")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    Run::program(scene, program).env("PATH", format!("{}:{path}", folder.display()))
}

fn git(scene: &Scene, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    Run::program(scene, "git").args(identity).args(words).output().assert_code(0);
}

/// Approves everything, as somebody who has read it, and pins that in a lock.
fn approve(scene: &Scene) {
    let asked = scene.farrier(["approve", "--format", "json"]).output();
    let asked: Value = serde_json::from_str(&asked.stdout()).expect("JSON");
    for sidecar in asked["sidecars"].as_array().expect("sidecars") {
        let text = |key: &str| sidecar[key].as_str().expect("text").to_owned();
        scene.farrier(["approve", &text("sidecar"), "--hash", &text("hash")]).output().assert_code(0);
    }
    scene.farrier(["approve", "--lock", "farrier.lock"]).output().assert_code(0);
}

fn reaches(url: &str) {
    let address = url.strip_prefix("postgres://postgres@").and_then(|rest| rest.strip_suffix("/postgres"));
    TcpStream::connect(address.unwrap_or_else(|| panic!("{url}"))).expect("the database is there");
}

#[test]
fn a_stack_from_a_compose_file_comes_up_in_one_command_and_every_recipe_reaches_it() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let (Some(postgres), Some(redis)) = (postgres_image(), redis_image()) else { return };
    import(&scene, &postgres, &redis);
    approve(&scene);

    let printed = scene.launch(["sh", "-c", "printf %s \"$DATABASE_URL\""]).output().assert_code(0);
    let url = printed.stdout();
    reaches(&url);
    let running = docker(["ps", "--quiet", "--filter", &format!("name={}", scene.token())]);
    assert_eq!(running.lines().count(), 4, "{running}");

    let address = url.trim_start_matches("postgres://postgres@").trim_end_matches("/postgres");
    for command in ["up", "ps"] {
        let shown = scene.farrier([command]).output().assert_code(0);
        assert!(shown.to_string().contains(address), "{command} shows {address}: {shown}");
    }
    in_a_shell(&scene, &url);
    in_rust(&scene);
    in_python(&scene);
    by_direnv(&scene, &url);
    on_github_actions(&scene, &url);
    scene.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
}

/// Definitions of the compose file, and the variable of whoever uses them.
fn import(scene: &Scene, postgres: &str, redis: &str) {
    std::fs::write(scene.workspace().join("compose.yaml"), compose(scene, postgres, redis)).expect("a file");
    let imported = scene.farrier(["import", "compose.yaml"]).output().assert_code(0);
    assert!(imported.stdout().contains("not translated: 0 keys"), "{imported}");
    let database = scene.layer(Layer::Workspace).join(format!("{}.toml", scene.name("db")));
    let text = std::fs::read_to_string(&database).expect("a definition");
    let url = "DATABASE_URL = \"postgres://postgres@{host}:{port}/postgres\"";
    std::fs::write(&database, format!("{text}\n[harness.env]\n{url}\n")).expect("a file");
}

/// These images from files, as `docker save` writes them: farrier runs them itself.
#[test]
fn the_same_stack_comes_up_without_docker() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let (Some(postgres), Some(redis)) = (postgres_image(), redis_image()) else { return };
    import(&scene, &postgres, &redis);
    let layer = scene.layer(Layer::Workspace);
    for (image, file) in [(&postgres, "db.tar"), (&redis, "cache.tar"), (&fixture_image(), "fixture.tar")] {
        docker(["save", "--output", &layer.join(file).display().to_string(), image]);
        for stem in ["db", "cache", "store", "app"] {
            let path = layer.join(format!("{}.toml", scene.name(stem)));
            let text = std::fs::read_to_string(&path).expect("a definition");
            let text = text
                .replace(&format!("image = \"{image}\""), &format!("image = \"docker-archive:./{file}\""));
            std::fs::write(&path, text).expect("a file");
        }
    }
    approve(&scene);
    let nowhere = "unix:///nowhere.sock";
    let launch = || scene.launch(["sh", "-c", "printf %s \"$DATABASE_URL\""]).env("DOCKER_HOST", nowhere);
    let url = launch().output().assert_code(0).stdout();
    reaches(&url);
    let ps = scene.farrier(["ps", "--format", "json"]).env("DOCKER_HOST", nowhere).output().assert_code(0);
    let ps: Value = serde_json::from_str(&ps.stdout()).expect("JSON");
    let running: Vec<&Value> = ps["sidecars"].as_array().expect("sidecars").iter().collect();
    let is_native = |sidecar: &&Value| sidecar["engine"] == "native" && sidecar["state"] == "running";
    assert!(running.len() == 4 && running.iter().all(is_native), "{ps:#}");
    // The application finds the database by its name, and its data outlives it.
    assert_eq!(launch().output().assert_code(0).stdout(), url, "what runs is used as it is");
    in_python(&scene);
    scene.farrier(["down", "--yes", "--volumes", "--engine", "native"]).output().assert_code(0);
}

fn in_a_shell(scene: &Scene, url: &str) {
    let script = format!("{}printf %s \"$DATABASE_URL\"", recipe("A shell", "sh"));
    let shell = with_farrier(scene, "sh").args(["-c", &script]).output().assert_code(0);
    assert_eq!(shell.stdout(), url, "{shell}");
}

fn in_rust(scene: &Scene) {
    assert_eq!(recipe("Tests in Rust", "rust"), include_str!("stack/database_url.rs"));
    let itself = std::env::current_exe().expect("this program");
    let test = "stack::the_recipe_in_rust_reaches_the_database";
    let run =
        with_farrier(scene, itself).args([test, "--exact"]).env(SURROUNDINGS, "1").output().assert_code(0);
    assert!(run.stdout().contains("1 passed"), "{run}");
}

/// What the test of the recipes sets when it runs the one in Rust, beside a database.
const SURROUNDINGS: &str = "TEST_OF_THE_RECIPES";

/// It is a test because its readers will write one; alone, it has no database to reach.
#[test]
fn the_recipe_in_rust_reaches_the_database() {
    if std::env::var_os(SURROUNDINGS).is_none() {
        return;
    }
    reaches(&database_url::database_url());
}

fn in_python(scene: &Scene) {
    let Some(python) = pypi::python("pytest", &["pytest==9.2.0"]) else { return };
    let tests = scene.workspace().join("tests");
    std::fs::create_dir_all(&tests).expect("a folder");
    std::fs::write(tests.join("conftest.py"), recipe("Tests in Python", "python")).expect("a file");
    let test = "import socket\nfrom urllib.parse import urlsplit\n\ndef test_database(database_url):\n    \
                url = urlsplit(database_url)\n    socket.create_connection((url.hostname, url.port), 5).close()\n";
    std::fs::write(tests.join("test_database.py"), test).expect("a file");
    let pytest = with_farrier(scene, python).args(["-m", "pytest", "-p", "no:cacheprovider", "tests"]);
    let outcome = pytest.output().assert_code(0);
    assert!(outcome.stdout().contains("1 passed"), "{outcome}");
}

fn by_direnv(scene: &Scene, url: &str) {
    if Command::new("direnv").arg("version").output().is_err() {
        return say_skipped("the recipe for direnv, which is not installed");
    }
    std::fs::write(scene.workspace().join(".envrc"), recipe("direnv", "sh")).expect("a file");
    with_farrier(scene, "direnv").args(["allow", "."]).output().assert_code(0);
    let words = ["exec", ".", "sh", "-c", "printf %s \"$DATABASE_URL\""];
    let outcome = with_farrier(scene, "direnv").args(words).output().assert_code(0);
    assert_eq!(outcome.stdout(), url, "{outcome}");
}

/// Its runner, as far as the recipe needs it: steps in turn, and a file of variables between them.
fn on_github_actions(scene: &Scene, url: &str) {
    git(scene, &["init", "--quiet"]);
    git(scene, &["add", "--all"]);
    git(scene, &["commit", "--quiet", "--message", "one"]);
    git(scene, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let variables = scene.path("github-env");
    std::fs::write(&variables, "").expect("a file");
    let recipe = recipe("GitHub Actions", "yaml");
    let steps: Vec<&str> = recipe.lines().filter_map(|line| line.trim().strip_prefix("- run: ")).collect();
    assert_eq!(steps.len(), 3, "{recipe}");
    let step = |command: &str| {
        let run = with_farrier(scene, "bash").args(["-e", "-o", "pipefail", "-c", command]);
        run.env("GITHUB_ENV", &variables)
            .env("GITHUB_BASE_REF", "main")
            // A machine that nobody has answered on.
            .env("FARRIER_APPROVALS", scene.path("ci-approvals.json"))
            .output()
    };
    step(steps[1]).assert_code(125);
    step(steps[0]).assert_code(0);
    step(steps[1]).assert_code(0);
    let text = std::fs::read_to_string(&variables).expect("variables");
    let value = text.lines().find_map(|line| line.strip_prefix("DATABASE_URL="));
    assert_eq!(value, Some(url), "{text}");
    assert_eq!(steps[2], "pytest");
}
