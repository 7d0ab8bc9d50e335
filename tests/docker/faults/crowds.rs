//! Many launches at once: of one missing sidecar, and of definitions that contradict each other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::launching::{codes, decisions, server};
use crate::support::{Running, Scene, containers_named, fixture_image, fixture_program, wait_until};

/// Fifty unoptimised programs on few processors take their time.
const PATIENT: Duration = Duration::from_mins(20);

fn events_in(path: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn fifty_launches_of_one_missing_sidecar_make_one_container_and_fifty_harnesses_run() {
    const COUNT: usize = 50;
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &server(&fixture_image(), ""));
    let (program, image) = (fixture_program().display().to_string(), fixture_image());
    let (label, variable) = (scene.label(), scene.variable("db"));
    let in_container = ["docker", "run", "--rm", "--label", &label, &image, "ask-env", &variable];
    let on_host = [program.as_str(), "ask-env", &variable];
    let files: Vec<PathBuf> = (0..COUNT).map(|number| scene.path(format!("events-{number}"))).collect();
    let launches: Vec<Running> = files
        .iter()
        .enumerate()
        .map(|(number, file)| {
            let harness: &[&str] = if number % 10 == 0 { &in_container } else { &on_host };
            let launch = scene.farrier(["launch", "--events"]).arg(file).arg("--").args(harness);
            launch.timeout(PATIENT).spawn()
        })
        .collect();
    let answered = launches.into_iter().map(Running::wait).filter(|outcome| {
        assert_eq!(outcome.code(), Some(0), "{outcome}");
        outcome.stdout() == "pong\n"
    });
    assert_eq!(answered.count(), COUNT);
    let decided: Vec<String> = files.iter().flat_map(|file| decisions(&events_in(file))).collect();
    let count = |wanted: &str| decided.iter().filter(|decision| *decision == wanted).count();
    assert_eq!(count("create: it does not exist"), 1, "{decided:?}");
    assert_eq!(count("reuse: it is running and matches its definition"), COUNT - 1, "{decided:?}");
    assert_eq!(containers_named(&scene.container("db")), [scene.container("db")]);
}

#[test]
fn launches_of_contradicting_definitions_take_turns_or_are_refused_by_name() {
    const COUNT: usize = 20;
    let Some(scene) = Scene::with_docker() else { return };
    let program = fixture_program().display().to_string();
    let launches: Vec<(PathBuf, Running)> = (0..COUNT)
        .map(|number| {
            let folder = scene.path(format!("layer-{number}"));
            std::fs::create_dir_all(&folder).expect("a folder");
            let toml = server(&fixture_image(), &format!("env = {{ LEVEL = \"{number}\" }}"));
            std::fs::write(folder.join(format!("{}.toml", scene.name("db"))), toml).expect("a definition");
            let file = scene.path(format!("events-{number}"));
            let launch = scene.farrier(["launch", "--events"]).arg(&file).arg("--user-dir").arg(&folder);
            // Long enough that others meet it, short enough that some get their turn.
            (file, launch.args(["--", &program, "sleep", "50"]).timeout(PATIENT).spawn())
        })
        .collect();
    let processes: BTreeSet<String> = launches.iter().map(|(_, launch)| launch.id().to_string()).collect();
    let (mut ran, mut refused) = (0, 0);
    for (file, launch) in launches {
        let outcome = launch.wait();
        let events = events_in(&file);
        match outcome.code() {
            Some(0) => ran += 1,
            Some(125) => {
                refused += 1;
                assert_eq!(codes(&events), ["sidecar-in-use"], "{outcome}");
                let problem = events.iter().find(|event| event["event"] == "problem").expect("a problem");
                let message = problem["message"].as_str().expect("a message");
                assert!(message.contains("env.LEVEL changed"), "{message}");
                let named = message.split("process ").nth(1).and_then(|rest| rest.split(' ').next());
                assert!(named.is_some_and(|process| processes.contains(process)), "{message}");
            }
            code => panic!("{code:?}: {outcome}"),
        }
    }
    println!("{ran} ran, {refused} were refused, lost: 0");
    assert!(ran >= 1 && ran + refused == COUNT, "{ran} ran, {refused} were refused");
    wait_until("one container is left", PATIENT, || {
        containers_named(&scene.container("db")) == [scene.container("db")]
    });
}
