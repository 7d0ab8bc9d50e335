//! The `exec` probe on a real engine: granted commands in the container, few at a time.

use std::os::unix::fs::PermissionsExt;

use crate::support::engine::inspect;
use crate::support::events::{number, text};
use crate::support::proxy::Request;
use crate::support::{PATIENT, Proxy, Scene, Signal, docker, fixture_image, wait_until};

fn define(scene: &Scene, stem: &str, arguments: &str, command: &[&str], timeout: &str) {
    let (image, arguments): (String, Vec<&str>) = (fixture_image(), arguments.split(' ').collect());
    scene.define(
        stem,
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {arguments:?}\n\
             [interface]\nkind = \"none\"\n\
             [readiness]\nprobe = \"exec\"\ncommand = {command:?}\ntimeout = \"{timeout}\"\n"
        ),
    );
}

/// How many commands run in the container by the engine's count.
fn running_commands(scene: &Scene, stem: &str) -> Option<String> {
    inspect(&scene.container(stem), "{{len .ExecIDs}}")
}

#[test]
fn a_command_that_succeeds_later_is_noticed() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", &["/fixture", "healthy-when-file", "/tmp/ready"], "60s");
    let running = scene.up().spawn();
    wait_until("the command failed once", PATIENT, || !scene.told().of("answered").is_empty());
    let first = text(&scene.told().of("answered")[0]["answer"]);
    assert!(first.starts_with("`/fixture` exited 1: fixture: cannot find /tmp/ready"), "{first}");
    docker(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/ready"]);
    running.wait().assert_code(0);
}

#[test]
fn a_command_that_is_not_in_the_image_fails_at_once_by_name() {
    let Some(scene) = Scene::with_docker() else { return };
    // Longer than the launch may take here.
    define(&scene, "db", "wait", &["pg_isready", "-q"], "10m");
    let (outcome, events) = scene.assert_not_ready(scene.up().output(), "probe-failed");
    let told = events.one("not-ready");
    let message = text(&told["message"]);
    assert!(message.contains("`pg_isready` cannot be run") && message.contains("not found"), "{message}");
    assert!(outcome.stderr().contains("help: "), "{outcome}");
}

#[test]
fn a_command_that_hangs_counts_as_running_and_the_deadline_holds() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", &["/fixture", "sleep", "30000"], "3s");
    let running = scene.up().spawn();
    wait_until("the command runs", PATIENT, || running_commands(&scene, "db").as_deref() == Some("1"));
    let (_, events) = scene.assert_not_ready(running.wait(), "not-ready");
    let told = events.one("not-ready");
    assert!(number(&told["waited_ms"]) >= 3_000.0, "{told:#}");
    assert_eq!(running_commands(&scene, "db").as_deref(), Some("1"), "no second one beside it");
}

#[test]
fn a_poll_limit_of_ones_own_cuts_a_poll_but_starts_no_second_command_beside_the_first() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", &["/fixture", "sleep", "3000000"], "10m");
    let path = scene.layer(crate::support::Layer::User).join(format!("{}.toml", scene.name("db")));
    let toml = std::fs::read_to_string(&path).expect("a definition") + "limits = { poll = \"500ms\" }\n";
    std::fs::write(path, toml).expect("a definition");
    let running = scene.up().spawn();
    wait_until("three polls were cut", PATIENT, || scene.told().of("answered").len() > 2);
    assert_eq!(running_commands(&scene, "db").as_deref(), Some("1"));
    running.signal(Signal::INT);
    running.wait().assert_code(130);
}

#[test]
fn at_most_two_commands_run_at_once() {
    let Some(scene) = Scene::with_docker() else { return };
    let stems = ["a", "b", "c", "d", "e"];
    for stem in stems {
        define(&scene, stem, "wait", &["/fixture", "sleep", "400", "1"], "4s");
    }
    let Some(proxy) = Proxy::new(&scene) else { return };
    proxy.before(scene.up()).output().assert_code(125);
    for stem in stems {
        wait_until("no command runs", PATIENT, || running_commands(&scene, stem).as_deref() == Some("0"));
    }
    // What farrier asked for, in its order: the engine may note the end of one after the beginning of the next one. farrier asks
    // how a command ended once it has.
    let requests = proxy.requests();
    let commands = requests.iter().filter_map(|request| {
        let step = request.path.strip_prefix("/exec/")?.split('/').nth(1)?;
        Some(if step == "start" { 1 } else { -1 })
    });
    let running = commands.scan(0, |running, change| {
        *running += change;
        Some(*running)
    });
    let lines: Vec<String> = requests.iter().map(Request::line).collect();
    assert_eq!(running.max(), Some(2), "{lines:#?}");
}

#[test]
fn events_hold_the_program_of_a_command_and_none_of_its_arguments() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", "wait", &["/fixture", "healthy-when-file", "/hunter2"], "1s");
    let outcome = scene.up().args(["--recreate"]).output().assert_code(125);
    assert!(outcome.stderr().contains("healthy-when-file"), "a person sees all of it: {outcome}");
    let until = "`/fixture …` exits with 0 in its container";
    assert_eq!(scene.told().one("waiting")["until"], until);
    assert_eq!(scene.told().one("not-ready")["probes"][0]["until"], until);
    let mode = std::fs::metadata(scene.path("events.jsonl")).expect("events").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
