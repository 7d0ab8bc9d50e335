//! Launches beside each other, and launches that are killed.

use std::time::Duration;

use crate::support::engine::{container_id, container_logs, inspect, is_running};
use crate::support::launching::{assert_answered, codes, decisions, identity, server};
use crate::support::{
    PATIENT, Run, Running, Scene, Signal, assert_output, docker, fixture_image, wait_until,
};

/// Starts a launch whose harness stays until its input is closed.
fn hold(scene: &Scene, network: &str) -> Running {
    let name = scene.name("holder");
    let own = ["docker", "run", "--rm", "--interactive", "--label", &scene.label(), "--name", &name]
        .map(str::to_owned);
    let harness = own.into_iter().chain([
        "--network".to_owned(),
        network.to_owned(),
        fixture_image(),
        "cat".to_owned(),
    ]);
    let holding = scene.launch(harness).open_stdin().spawn();
    wait_until("the harness runs", PATIENT, || is_running(&name));
    holding
}

/// `farrier launch` of a harness that asks `db`, with its events in a file of its own.
fn launch_with_events(scene: &Scene, network: &str, file: &str) -> Run {
    let path = scene.path(file);
    scene
        .farrier(["launch", "--events", path.to_str().expect("text"), "--"])
        .args(scene.asking(network, "db"))
}

fn all_answered(launches: Vec<Running>) {
    for launch in launches {
        assert_answered(launch.wait());
    }
}

fn events_in(scene: &Scene, file: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(scene.path(file)).expect("events");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn launches_at_once_make_one_container_and_every_harness_runs() {
    for count in [2, 10] {
        let Some(scene) = Scene::with_docker() else { return };
        let network = scene.network("net");
        scene.define("db", &server(&fixture_image(), ""));
        let file = |number| format!("events-{number}");
        let launches: Vec<Running> =
            (0..count).map(|number| launch_with_events(&scene, &network, &file(number)).spawn()).collect();
        all_answered(launches);
        let mut decided: Vec<String> =
            (0..count).flat_map(|number| decisions(&events_in(&scene, &file(number)))).collect();
        decided.sort();
        assert_eq!(decided.len(), count);
        assert_eq!(decided[0], "create: it does not exist");
        assert!(
            decided[1..].iter().all(|other| other == "reuse: it is running and matches its definition"),
            "{decided:?}"
        );
    }
}

#[test]
fn launches_at_once_that_need_farriers_own_network_agree_on_one() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("db", &server(&fixture_image(), ""));
    let harness =
        ["docker", "run", "--rm", &fixture_image(), "ask-env", &scene.variable("db")].map(str::to_owned);
    let launches: Vec<Running> = (0..4).map(|_| scene.launch(&harness).spawn()).collect();
    all_answered(launches);
    assert_eq!(docker(["network", "ls", "--quiet", "--filter", "name=^farrier$"]).lines().count(), 1);
}

#[test]
fn launches_of_overlapping_sets_of_sidecars_do_not_wait_for_each_other_in_a_circle() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    // Each launch has its own folder of definitions: a and b, b and c, c and a.
    let launches: Vec<Running> = [["a", "b"], ["b", "c"], ["c", "a"]]
        .iter()
        .enumerate()
        .map(|(number, stems)| {
            let folder = scene.path(format!("layer-{number}"));
            std::fs::create_dir_all(&folder).expect("a folder");
            for stem in stems {
                let path = folder.join(format!("{}.toml", scene.name(stem)));
                std::fs::write(path, server(&fixture_image(), "")).expect("a definition");
            }
            let options = ["--user-dir", folder.to_str().expect("text")];
            scene.launch_with(options, scene.asking(&network, stems[0])).spawn()
        })
        .collect();
    all_answered(launches);
    let mut decided = scene.take_decisions();
    decided.sort();
    let (created, reused) = decided.split_at(3);
    assert_eq!(created, ["create: it does not exist"; 3]);
    assert_eq!(reused, ["reuse: it is running and matches its definition"; 3]);
}

#[test]
fn a_sidecar_that_a_running_harness_uses_is_not_pulled_away() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"one\" }"));
    let mut holding = hold(&scene, &network);
    let container = scene.container("db");
    let first = identity(&container);
    scene.take_events();

    // Whoever agrees with the definition as it was goes on using it.
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    scene.take_events();

    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"two\" }"));
    let refused = scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    let events = scene.take_events();
    assert_eq!(codes(&events), ["sidecar-in-use"]);
    let message =
        events.iter().find(|event| event["event"] == "problem").expect("a problem")["message"].to_string();
    for part in ["env.LEVEL changed", &format!("process {}", holding.id()), "docker run"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains(&network), "arguments may hold secrets: {message}");
    assert_output!(refused, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[sidecar-in-use]: sidecar `db-[TOKEN]` would be recreated (env.LEVEL changed), but process [PROCESS] uses it: docker run farrier-fixture:[DIGEST]
     --> [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:2:9
      |
    2 | image = "farrier-fixture:[DIGEST]"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Wait until that launch ends.
      = help: Or add `--recreate` to replace it despite that launch.
    "#);
    assert!(!refused.to_string().contains("\"two\""), "{refused}");
    assert_eq!(identity(&container), first);
    scene.farrier(["plan", "--"]).args(scene.asking(&network, "db")).output().assert_code(125);

    assert_answered(scene.launch_with(["--recreate"], scene.asking(&network, "db")).output());
    let second = identity(&container);
    assert_ne!(second, first);

    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"three\" }"));
    scene.launch(scene.asking(&network, "db")).output().assert_code(125);
    scene.take_events();
    holding.close_stdin();
    holding.wait().assert_code(0);
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["recreate: env.LEVEL changed"]);
}

#[test]
fn a_stopped_sidecar_is_made_anew_although_another_launch_used_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), ""));
    let mut holding = hold(&scene, &network);
    docker(["kill", &scene.container("db")]);
    wait_until("it is stopped", PATIENT, || !is_running(&scene.container("db")));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    holding.close_stdin();
    holding.wait().assert_code(0);
}

#[test]
fn a_launch_that_was_killed_no_longer_uses_its_sidecars() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"one\" }"));
    let holding = hold(&scene, &network);
    holding.signal(Signal::KILL);
    let ended = holding.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(9));
    scene.define("db", &server(&fixture_image(), "env = { LEVEL = \"two\" }"));
    scene.take_events();
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert_eq!(scene.take_decisions(), ["recreate: env.LEVEL changed"]);
}

#[test]
fn whoever_waits_for_another_launch_says_so() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &server(&fixture_image(), ""));
    // The name's lock, taken as another launch would take it.
    let engine = docker(["info", "--format", "{{.ID}}"]);
    let digest = {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(engine);
        hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let path =
        farrier::system::lock::folder().join(format!("farrier-{digest}.{}@lock", scene.container("db")));
    assert_answered(scene.launch(scene.asking(&network, "db")).output());
    assert!(!path.exists(), "the launch before left its lock behind");
    let taken = || {
        let lock = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.expect("the lock's file");
        lock.lock().expect("it is free");
        std::fs::write(&path, format!("{}\na test", std::process::id())).expect("as its holder does");
        lock
    };
    let lock = taken();
    scene.take_events();
    let launch = scene.launch(scene.asking(&network, "db")).spawn();
    let whom = format!("(process {}, a test)", std::process::id());
    launch.wait_for_stderr(&format!("waiting for another launch to start {} {whom}", scene.name("db")));
    assert!(scene.has_event("waiting-for-launch"));
    drop(lock);
    assert_answered(launch.wait());

    // And can be interrupted while it waits.
    let lock = taken();
    let launch = scene.launch(scene.asking(&network, "db")).spawn();
    launch.wait_for_stderr("waiting for another launch");
    launch.signal(Signal::INT);
    launch.wait().assert_code(130);
    drop(lock);
    drop(std::fs::remove_file(&path));
}

#[test]
fn after_a_launch_was_killed_at_any_moment_the_next_one_works() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    let container = scene.container("db");
    // Not ready for a while, so that the wait is a moment that can be hit.
    let slow = "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--after\", \"400\"]";
    let mut kills = 0;
    for round in 0..12_u32 {
        scene.define("db", &server(&fixture_image(), &format!("{slow}\nenv = {{ ROUND = \"{round}\" }}")));
        scene.take_events();
        let launch = scene.launch(scene.asking(&network, "db")).spawn();
        match round {
            0 => launch.wait_for_stderr("create"),
            1 => wait_until("it is started", PATIENT, || scene.has_event("started")),
            2 => wait_until("a probe answered", PATIENT, || scene.has_event("answered")),
            3 => wait_until("it is ready", PATIENT, || scene.has_event("ready")),
            // Somewhere between the removal of the old container and the start of the new one.
            _ => {
                launch.wait_for_stderr("recreate");
                let moment = Duration::from_millis(u64::from(round - 4) * 40);
                let begun = std::time::Instant::now();
                wait_until("the moment came", PATIENT, || begun.elapsed() >= moment);
            }
        }
        launch.signal(Signal::KILL);
        let ended = launch.wait();
        kills += u32::from(ended.status.code().is_none());
        let again = scene.launch(scene.asking(&network, "db")).output();
        assert_answered(again);
        assert!(is_running(&container));
        assert_eq!(
            inspect(&container, "{{index .Config.Env 0}}").unwrap_or_default(),
            format!("ROUND={round}")
        );
    }
    assert!(kills >= 10, "only {kills} launches were killed before their end");
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(inspect(&container, networks).as_deref().map(str::trim), Some("farrier"));
    assert!(container_id(&container).is_some() && container_logs(&container).contains("accepting"));
}
