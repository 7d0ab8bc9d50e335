//! Sidecars that end while the harness runs: told at once to whoever reads events, and afterwards to people.

use serde_json::Value;

use crate::support::engine::is_running;
use crate::support::launching::server;
use crate::support::{
    PATIENT, Running, Scene, assert_output, docker, fixture_image, fixture_program, wait_until,
};

const MORTAL: &str =
    "command = [\"serve\", \"--port\", \"7000\", \"--exit-when\", \"/tmp/end\", \"--code\", \"3\"]";

/// A scene with a server that ends with code 3 as soon as its file exists.
fn scene_with_mortal() -> Option<(Scene, String)> {
    let scene = Scene::with_docker()?;
    scene.define("db", &server(&fixture_image(), MORTAL));
    Some((scene, fixture_program().display().to_string()))
}

/// A harness that waits for its input to end.
fn waiting(scene: &Scene, program: &str) -> Running {
    let launch = scene.launch([program, "cat"]).open_stdin().spawn();
    wait_until("the harness runs", PATIENT, || scene.has_event("harness-starting"));
    launch
}

/// The only end, when it was told.
fn end(scene: &Scene) -> Value {
    wait_until("the end is told", PATIENT, || scene.has_event("sidecar-ended"));
    let ends: Vec<Value> =
        scene.events().into_iter().filter(|event| event["event"] == "sidecar-ended").collect();
    let [end] = ends.as_slice() else { panic!("{ends:#?}") };
    end.clone()
}

#[test]
fn a_sidecar_that_ends_is_told_at_once_and_after_the_harness() {
    let Some((scene, program)) = scene_with_mortal() else { return };
    let launch = waiting(&scene, &program);
    // Its container may end before the command in it.
    drop(crate::support::docker::run(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/end"]));
    let end = end(&scene);
    assert_eq!(end["sidecar"], scene.name("db"));
    assert_eq!(end["exit_code"], 3);
    assert_eq!(end["cause"]["name"], "exited");
    let log: Vec<&str> = end["log"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(log.last(), Some(&"ending as it was told"), "{log:?}");
    assert!(!launch.stderr().contains("ended while"), "the terminal is the harness's: {}", launch.stderr());
    let outcome = launch.wait().assert_code(0);
    let lines: Vec<String> =
        outcome.stderr().lines().filter(|line| line.contains("ended while")).map(str::to_owned).collect();
    let expected = format!(
        "farrier: {} ended while the harness ran: its program ended with exit code 3; last log line: ending as it \
         was told",
        scene.name("db")
    );
    assert_eq!(lines, [expected], "{outcome}");
    let last = scene.events().pop().expect("events");
    assert_eq!((&last["event"], &last["exit_code"]), (&"harness-ended".into(), &0.into()));
}

#[test]
fn a_harness_that_fails_because_of_a_sidecar_is_told_why() {
    let Some((scene, _)) = scene_with_mortal() else { return };
    // It ends the sidecar and itself at the same moment.
    let script = format!("docker exec {} /fixture touch /tmp/end; exit 9", scene.container("db"));
    for _ in 0..3 {
        let outcome = scene.launch(["sh", "-c", &script]).output().assert_code(9);
        // The engine may learn of the end only after both have gone.
        if outcome.stderr().contains("ended while the harness ran") {
            return;
        }
        // What told it to end lies in it.
        docker(["rm", "--force", &scene.container("db")]);
    }
    panic!("{:#?}", scene.events());
}

#[test]
fn a_sidecar_that_somebody_stops_or_removes_is_told_as_that() {
    let Some((scene, program)) = scene_with_mortal() else { return };
    for arguments in [&["kill"] as &[&str], &["rm", "--force"]] {
        scene.take_events();
        let launch = waiting(&scene, &program);
        let container = scene.container("db");
        docker(arguments.iter().chain([&container.as_str()]));
        let end = end(&scene);
        assert_eq!(end["cause"]["name"], "stopped-by-others", "{arguments:?}: {end:#}");
        let outcome = launch.wait().assert_code(0);
        assert_eq!(outcome.stderr().matches("ended while the harness ran").count(), 1, "{outcome}");
    }
}

#[test]
fn a_sidecar_that_another_farrier_stops_is_told_as_that() {
    let Some((scene, program)) = scene_with_mortal() else { return };
    // The server has no handler for this signal, so the lock is held for as long as its grace period.
    let deaf = format!("{MORTAL}\nstop_signal = \"USR1\"\nstop_timeout = 2");
    scene.define("db", &server(&fixture_image(), &deaf));
    let launch = waiting(&scene, &program);
    let name = scene.name("db");
    scene.farrier(["down", "--yes", "--force", &name]).output().assert_code(0);
    let end = end(&scene);
    assert_eq!(
        (&end["cause"]["name"], &end["by_farrier"]),
        (&"stopped-by-others".into(), &true.into()),
        "{end:#}"
    );
    let outcome = launch.wait().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    --- stderr
    farrier: db-[TOKEN]: create, because it does not exist
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: db-[TOKEN] ended while the harness ran: another farrier command stopped it
    ");
}

#[test]
fn nothing_is_told_of_sidecars_that_go_on() {
    let Some((scene, program)) = scene_with_mortal() else { return };
    let launch = waiting(&scene, &program);
    let outcome = launch.wait().assert_code(0);
    assert!(!outcome.stderr().contains("ended"), "{outcome}");
    assert!(!scene.has_event("sidecar-ended"));
    assert!(is_running(&scene.container("db")));
}

#[test]
fn a_script_that_fails_with_a_container_off_the_network_is_told_what_to_do() {
    let Some((scene, _)) = scene_with_mortal() else { return };
    let script = scene.path("script");
    let elsewhere = scene.network("elsewhere");
    for (network, code, expected) in
        [("bridge", 4, 1), (elsewhere.as_str(), 5, 1), ("host", 4, 0), ("bridge", 0, 0)]
    {
        // It is gone when the harness ends.
        let name = scene.name(&format!("harness-{network}-{code}"));
        let text = format!(
            "docker run --rm --name {name} --network {network} {} env\nexit {code}\n",
            fixture_image()
        );
        std::fs::write(&script, text).expect("a script");
        let launch = scene.launch(["sh", &script.display().to_string()]).output();
        let outcome = launch.assert_code(code);
        // Other tests start containers meanwhile.
        let named = format!("the container `{name}` of the image");
        assert_eq!(outcome.stderr().matches(&named).count(), expected, "{network} {code}: {outcome}");
        if expected > 0 {
            assert_eq!(outcome.stderr().matches("warning[harness-shape]").count(), 1, "{outcome}");
            assert!(outcome.stderr().contains("--network "), "{outcome}");
        }
    }
}

#[test]
fn what_runs_such_a_script_makes_no_difference() {
    let Some((scene, _)) = scene_with_mortal() else { return };
    let name = scene.name("harness-nested");
    let (script, makefile, op) = (scene.path("script"), scene.path("Makefile"), scene.path("op"));
    let text = format!("docker run --rm --name {name} {} env\nexit 4\n", fixture_image());
    std::fs::write(&script, text).expect("a script");
    std::fs::write(&makefile, format!("test:\n\tsh {}\n", script.display())).expect("a makefile");
    std::fs::write(&op, "shift 2\nexec \"$@\"\n").expect("a stand-in");
    let [script, makefile, op] = [script, makefile, op].map(|path| path.display().to_string());
    for (command, code) in [
        (&["make", "--file", &makefile] as &[&str], 2),
        (&["sh", &op, "run", "--", "sh", &script], 4),
        (&["sh", &op, "run", "--", "make", "--file", &makefile], 2),
        (&["sh", "-c", &format!("make --file {makefile}")], 2),
    ] {
        let outcome = scene.launch(command).output().assert_code(code);
        assert_eq!(outcome.stderr().matches("warning[harness-shape]").count(), 1, "{command:?}: {outcome}");
        assert!(outcome.stderr().contains(&format!("the container `{name}` of")), "{command:?}: {outcome}");
    }
}

#[test]
fn a_sidecar_that_the_harness_restarts_is_told_as_running_again() {
    let Some((scene, _)) = scene_with_mortal() else { return };
    let container = scene.container("db");
    let outcome = scene.launch(["docker", "restart", "--time", "1", &container]).output().assert_code(0);
    let stderr = outcome.stderr();
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("ended while")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains("; it is running again")), "{outcome}");
}
