//! What the other tests stand on: the fixture program, scenes that leave nothing behind, programs under
//! watch, and the real servers. It needs no farrier.

use std::time::Duration;

use crate::support::engine::{container_id, container_logs, containers_named, inspect};
use crate::support::{
    Image, Layer, PATIENT, Run, Scene, Signal, assert_output, docker, fixture_image, fixture_program,
    servers, wait_until,
};

#[test]
fn a_program_is_run_with_a_known_environment_and_without_a_terminal() {
    let scene = Scene::new();
    let environment = Run::program(&scene, fixture_program()).arg("env").env("EXTRA", "1").output();
    let names: Vec<_> =
        environment.stdout().lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    let names: Vec<_> = names.iter().filter(|name| !name.starts_with("DOCKER_")).collect();
    assert_eq!(names, ["EXTRA", "HOME", "PATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"]);
    let standard_streams = Run::program(&scene, fixture_program()).arg("tty").output();
    assert_output!(standard_streams, @"
    exit code 0
    --- stdout
    stdin: not a terminal
    stdout: not a terminal
    stderr: not a terminal
    --- stderr
    ");
}

#[test]
fn a_program_on_a_terminal_sees_one_and_is_ended_by_control_c() {
    let scene = Scene::new();
    let shown = Run::program(&scene, fixture_program()).arg("tty").spawn_on_terminal(40, 10).wait();
    assert_eq!(shown.stdout(), "stdin: terminal\r\nstdout: terminal\r\nstderr: terminal\r\n");
    let size = Run::program(&scene, "stty").arg("size").spawn_on_terminal(40, 10).wait();
    assert_eq!(size.stdout(), "10 40\r\n");
    let serving = ["serve", "--port", "0", "--log", "up"];
    let mut running = Run::program(&scene, fixture_program()).args(serving).spawn_on_terminal(80, 24);
    running.wait_for_stdout("accepting");
    running.type_text("\u{3}");
    let outcome = running.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&outcome.status), Some(2), "{outcome}");
}

#[test]
fn a_running_program_can_be_watched_fed_and_signalled() {
    let scene = Scene::new();
    let mut copying = Run::program(&scene, fixture_program()).arg("cat").open_stdin().spawn();
    copying.type_text("one\n");
    copying.wait_for_stdout("one\n");
    copying.close_stdin();
    assert_output!(copying.wait().assert_code(0), @"
    exit code 0
    --- stdout
    one
    --- stderr
    ");
    let copied = Run::program(&scene, fixture_program()).arg("cat").stdin("two\n").output();
    assert_eq!(copied.assert_code(0).stdout(), "two\n");
    let waiting = Run::program(&scene, fixture_program()).arg("wait").spawn();
    // Not SIGTERM, which the program handles as soon as it has come that far.
    waiting.signal(Signal::KILL);
    assert_output!(waiting.wait(), @"
    ended by signal 9
    --- stdout
    --- stderr
    ");
}

#[test]
#[should_panic(expected = "still ran after 50ms")]
fn a_program_that_takes_too_long_fails_the_test() {
    let scene = Scene::new();
    Run::program(&scene, fixture_program()).arg("wait").timeout(Duration::from_millis(50)).output();
}

#[test]
fn every_scene_has_its_own_names_and_folders() {
    let (one, other) = (Scene::new(), Scene::new().isolated());
    assert_ne!(one.token(), other.token());
    assert_eq!(one.variable("db"), format!("DB_{}", one.token().to_uppercase()));
    assert_ne!(one.cache_home(), other.cache_home());
    let definition = one.define("db", "image = \"x\"");
    assert_eq!(definition, one.layer(Layer::User).join(format!("{}.toml", one.name("db"))));
    assert_output!(definition.display(), @"[SCENE]/config/farrier/sidecars/db-[TOKEN].toml");
}

#[test]
fn a_sidecar_and_a_harness_of_the_fixture_exchange_bytes_by_name() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, name, image) = (scene.network("net"), scene.name("greeter"), fixture_image());
    let serve = ["serve", "--port", "7000", "--reply", "you sent {}", "--trace"];
    scene.docker_run(["--network", &network, "--name", &name, &image].into_iter().chain(serve));
    wait_until("the server accepts", PATIENT, || {
        container_logs(&name).contains("accepting 0.0.0.0:7000 at ")
    });
    let answer = docker(["run", "--rm", "--network", &network, &image, "ask", &name, "7000", "two", "words"]);
    assert_eq!(answer, "you sent two words");
    assert!(container_logs(&name).contains("received \"two words\", sent \"you sent two words\""));
}

#[test]
fn an_image_takes_changes_files_and_a_shell_form_health_check() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = Image::new()
        .shell()
        .file("/etc/motd", "welcome", 0o644)
        .change("HEALTHCHECK --interval=100ms CMD fixture healthy-when-file /data/ready")
        .change("ENV COLOUR=red")
        .change("USER 1000:1000")
        .change("WORKDIR /tmp")
        .change("VOLUME [\"/data\"]")
        .change("CMD [\"wait\"]");
    let image = scene.image(&image);
    let once = |arguments: &[&str]| {
        docker(["run", "--rm", "--entrypoint", "/fixture", &image].iter().chain(arguments))
    };
    assert_eq!(once(&["read", "/etc/motd"]), "welcome");
    assert_eq!(once(&["identity"]), "user 1000 group 1000 in /tmp");
    assert!(once(&["env"]).contains("COLOUR=red"));
    let name = scene.name("healthy");
    scene.docker_run(["--name", &name, "--user", "0", &image]);
    let health = || inspect(&name, "{{.State.Health.Status}}").unwrap_or_default();
    wait_until("it is unhealthy", PATIENT, || health() == "unhealthy");
    let log = inspect(&name, "{{(index .State.Health.Log 0).Output}}").unwrap_or_default();
    assert!(log.contains("cannot find /data/ready"), "{log}");
    docker(["exec", &name, "/fixture", "touch", "/data/ready"]);
    wait_until("it is healthy", PATIENT, || health() == "healthy");
}

#[test]
fn a_fixture_out_of_memory_is_killed_for_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let name = scene.name("hungry");
    scene.docker_run(["--name", &name, "--memory", "16m", &fixture_image(), "eat-memory", "64"]);
    // The engine may note why it ended a moment after that it did.
    wait_until("it is killed for memory", PATIENT, || {
        inspect(&name, "{{.State.OOMKilled}} {{.State.ExitCode}}").as_deref() == Some("true 137")
    });
}

#[test]
fn a_scene_leaves_nothing_behind_even_when_its_test_fails() {
    let Some(scene) = Scene::with_docker() else { return };
    let (network, image) = (scene.network("net"), scene.image(&Image::new().change("VOLUME [\"/data\"]")));
    // As farrier would name it: without our label, and with a volume that is no longer anonymous to the
    // engine.
    let (name, volume) = (scene.container("db"), format!("{:0>64}", scene.token().trim_start_matches('t')));
    let mount = format!("{volume}:/data");
    docker([
        "run",
        "--detach",
        "--name",
        &name,
        "--volume",
        &mount,
        "--network",
        &network,
        &fixture_image(),
        "wait",
    ]);
    // As a harness: nothing but its network tells whose it is.
    let harness = docker(["run", "--detach", "--network", &network, &fixture_image(), "wait"]);
    docker(["run", "--detach", &image, "wait"]);
    assert_eq!(containers_named(&name), std::slice::from_ref(&name));
    let failed = std::thread::spawn(move || {
        let _scene = scene;
        // Past the panic hook, which would print a failure that is none.
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(failed.join().is_err());
    assert_eq!(container_id(&name), None);
    assert_eq!(container_id(&harness), None);
    assert!(crate::support::docker::run(["network", "inspect", &network]).is_err());
    assert!(crate::support::docker::run(["image", "inspect", &image]).is_err());
    assert!(crate::support::docker::run(["volume", "inspect", &volume]).is_err());
}

#[test]
fn the_real_postgresql_answers_a_query_from_another_container() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = servers::postgres_image_with_healthcheck() else {
        return;
    };
    let (network, name) = (scene.network("net"), scene.name("postgres"));
    scene.docker_run(["--network", &network, "--name", &name, &image]);
    let ready = ["exec", &name, "pg_isready", "--username=postgres"];
    wait_until("pg_isready succeeds", PATIENT, || crate::support::docker::run(ready).is_ok());
    let client = ["run", "--rm", "--network", &network, "--entrypoint", "psql", &image];
    let query = ["-h", &name, "-U", "postgres", "-Atc", "select 40 + 2"];
    assert_eq!(docker(client.into_iter().chain(query)), "42");
    let test = inspect(&name, "{{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}");
    assert_eq!(test.as_deref(), Some("[CMD-SHELL pg_isready --username=postgres] 30s"));
}

#[test]
fn the_real_redis_answers_a_ping_from_another_container() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = servers::redis_image() else {
        return;
    };
    let (network, name) = (scene.network("net"), scene.name("redis"));
    scene.docker_run(["--network", &network, "--name", &name, &image]);
    let ready = ["exec", &name, "redis-cli", "ping"];
    wait_until("redis-cli ping succeeds", PATIENT, || crate::support::docker::run(ready).is_ok());
    let ping = ["run", "--rm", "--network", &network, &image, "redis-cli", "-h", &name, "ping"];
    assert_eq!(docker(ping), "PONG");
}
