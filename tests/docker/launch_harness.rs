//! The harness under a launch: what it is told, its exit code, its terminal, and the signals.

mod names;
mod signals;
mod watch;

use std::os::unix::process::ExitStatusExt;

use crate::support::engine::{container_id, is_running};
use crate::support::launching::{assert_answered, identity, server, server_ready};
use crate::support::{
    PATIENT, Run, Running, Scene, Signal, assert_output, docker, fixture_image, fixture_program, wait_until,
};

/// A scene with a server `db`, and the fixture on this host.
fn scene_with_server() -> Option<(Scene, String)> {
    let scene = Scene::with_docker()?;
    scene.define("db", &server(&fixture_image(), ""));
    Some((scene, fixture_program().display().to_string()))
}

/// A scene whose server `db` never becomes ready.
fn scene_with_sleeper() -> Option<Scene> {
    let scene = Scene::with_docker()?;
    let never = "command = [\"serve\", \"--port\", \"7000\", \"--after\", \"3600000\"]";
    scene.define("db", &server_ready(&fixture_image(), never, "probe = \"tcp\"\ntimeout = \"10m\""));
    Some(scene)
}

#[test]
fn a_command_on_the_host_gets_the_variables_and_none_that_were_inherited() {
    let Some((scene, program)) = scene_with_server() else { return };
    let outcome = scene
        .launch([&program, "env"])
        .env("SWARMFORGE_TONG_STALE_HOST", "inherited")
        .env("FARRIER_QUIET", "true")
        .env("KEPT", "yes")
        .output()
        .assert_code(0);
    let environment = outcome.stdout();
    let ours: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("SWARMFORGE") || name.starts_with("FARRIER"))
        .collect();
    let variable = scene.variable("db");
    assert_eq!(
        ours,
        [format!("SWARMFORGE_TONG_{variable}_HOST"), format!("SWARMFORGE_TONG_{variable}_PORT")]
    );
    assert!(environment.contains(&format!("SWARMFORGE_TONG_{variable}_PORT=7000\n")), "{environment}");
    assert!(environment.contains("KEPT=yes\n"), "{environment}");
    let arguments = scene.launch([&program, "args", "", "a b", "--", "$X", "\n"]).output().assert_code(0);
    assert_eq!(arguments.stdout(), "\"\"\n\"a b\"\n\"--\"\n\"$X\"\n\"\\n\"\n");
}

#[test]
fn the_variables_begin_as_asked_for_and_those_of_that_prefix_that_are_the_users_own_stay() {
    let Some((scene, program)) = scene_with_server() else { return };
    let (image, label, variable) = (fixture_image(), scene.label(), scene.variable("db"));
    let in_container = ["docker", "run", "--rm", "--label", &label, &image, "env"];
    for harness in [&[program.as_str(), "env"][..], &in_container] {
        let launch = scene.farrier(["launch", "--env-prefix", "APP_", "--"]).args(harness);
        let told = launch.env("APP_OWN_HOST", "mine").output().assert_code(0).stdout();
        assert!(told.contains(&format!("APP_{variable}_PORT=7000\n")), "{told}");
        assert!(!told.contains("SWARMFORGE"), "{told}");
        let is_on_host = harness.first() == Some(&program.as_str());
        assert_eq!(told.contains("APP_OWN_HOST=mine\n"), is_on_host, "{told}");
    }
    let launch = scene.farrier(["launch", "--", &program, "env"]).env("FARRIER_ENV_PREFIX", "9");
    let refused = launch.output().assert_code(2);
    assert_output!(refused, @"
    exit code 2
    --- stdout
    --- stderr
    error: invalid value '9' for '--env-prefix <PREFIX>': a prefix consists of letters, digits and `_`, and begins with no digit

    For more information, try '--help'.
    ");
}

#[test]
fn a_container_gets_the_variables_and_everything_else_as_it_was() {
    let Some((scene, _)) = scene_with_server() else { return };
    let network = scene.network("net");
    let environment = scene.launch(scene.in_container(&network, &["env"])).output().assert_code(0).stdout();
    let variable = scene.variable("db");
    for line in [
        format!("SWARMFORGE_TONG_{variable}_HOST={}", scene.name("db")),
        format!("SWARMFORGE_TONG_{variable}_PORT=7000"),
    ] {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
    let words = ["args", "", "--network", "x", "-e", "A=B", "\n"];
    let arguments = scene.launch(scene.in_container(&network, &words)).output().assert_code(0);
    assert_eq!(arguments.stdout(), "\"\"\n\"--network\"\n\"x\"\n\"-e\"\n\"A=B\"\n\"\\n\"\n");
}

#[test]
fn exit_codes_are_passed_on_from_the_host_and_from_a_container() {
    let Some((scene, program)) = scene_with_server() else { return };
    let network = scene.network("net");
    for code in [0, 1, 2, 3, 64, 124, 125, 126, 127, 128, 130, 137, 143, 254, 255] {
        scene.launch([&program, "exit", &code.to_string()]).output().assert_code(code);
    }
    for code in [0, 1, 42, 255] {
        scene.launch(scene.in_container(&network, &["exit", &code.to_string()])).output().assert_code(code);
    }
    scene.launch([&program, "abort"]).output().assert_code(128 + 6);
    let own = scene
        .launch(["docker", "run", "--rm", "--network", &network, "farrier-no-such-image.invalid/x"])
        .output();
    assert!(own.assert_code(125).stderr().contains("docker"));
}

#[test]
fn a_command_that_cannot_be_run_is_found_out_before_anything_is_started() {
    let Some((scene, _)) = scene_with_server() else { return };
    for (command, code, told) in [
        ("no-such-command-anywhere", 127, "harness-not-found"),
        ("/no/such/file", 127, "harness-not-found"),
        ("/etc/passwd", 126, "harness-not-executable"),
        ("/", 126, "harness-not-executable"),
    ] {
        scene.launch([command]).output().assert_code(code);
        assert_eq!(scene.take_codes(), [told], "{command}");
    }
    for (command, way_out) in [
        (&["sudo", "docker", "run", "x"] as &[&str], "docker run"),
        (&["docker", "compose", "run", "x"], "docker run"),
        (&["nerdctl", "run", "x"], "docker run"),
    ] {
        let outcome = scene.launch(command).output().assert_code(125);
        assert!(outcome.stderr().contains(way_out), "{outcome}");
        assert_eq!(scene.take_codes(), ["harness-shape"], "{command:?}");
    }
    assert_eq!(container_id(&scene.container("db")), None);
}

#[test]
fn standard_output_is_the_harness_s_alone_and_its_input_is_passed() {
    let Some((scene, program)) = scene_with_server() else { return };
    for option in ["-q", "-v", "-vv"] {
        let outcome = scene.launch_with([option, "--recreate"], [&program, "cat"]).stdin("in\n").output();
        assert_eq!(outcome.assert_code(0).stdout(), "in\n", "{option}");
    }
    let network = scene.network("net");
    let label = scene.label();
    let image = fixture_image();
    let own = ["docker", "run", "--rm", "-i", "--label", &label, "--network", &network, &image, "cat"];
    assert_eq!(scene.launch(own).stdin("typed\n").output().assert_code(0).stdout(), "typed\n");
}

#[test]
fn a_created_container_carries_the_variables_and_the_network() {
    let Some((scene, _)) = scene_with_server() else { return };
    let (label, image, variable) = (scene.label(), fixture_image(), scene.variable("db"));
    let network = scene.network("net");
    for options in [&[][..], &["--network", &network]] {
        let harness =
            [&["docker", "create", "--label", &label], options, &[&image, "ask-env", &variable]].concat();
        let created = scene.launch(harness).output().assert_code(0).stdout();
        assert_eq!(docker(["start", "--attach", created.trim()]), "pong", "{options:?}");
    }
}

/// A harness in a container that waits, and the launch around it.
fn waiting_in_container(scene: &Scene) -> (Running, String) {
    let (name, label, image) = (scene.name("harness"), scene.label(), fixture_image());
    let harness = ["docker", "run", "--rm", "--init", "--name", &name, "--label", &label, &image, "wait"];
    let launch = scene.launch(harness).spawn();
    wait_until("the harness runs", PATIENT, || is_running(&name));
    (launch, name)
}

#[test]
fn termination_is_forwarded_to_the_harness_and_its_code_returned() {
    let Some((scene, program)) = scene_with_server() else { return };
    let (launch, name) = waiting_in_container(&scene);
    launch.signal(Signal::TERM);
    launch.wait().assert_code(143);
    wait_until("the harness is gone", PATIENT, || container_id(&name).is_none());
    assert!(is_running(&scene.container("db")));
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let launch = scene.launch([&program, "serve", "--port", "0"]).spawn();
        launch.wait_for_stdout("accepting");
        launch.signal(signal);
        launch.wait().assert_code(code);
    }
    let trap = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let launch = scene.launch(["sh", "-c", trap]).spawn();
    launch.wait_for_stdout("up");
    launch.signal(Signal::TERM);
    launch.wait().assert_code(7);
}

#[test]
fn an_interrupt_while_the_harness_runs_is_the_harness_s_business() {
    let Some((scene, program)) = scene_with_server() else { return };
    let mut launch = scene.launch([&program, "serve", "--port", "0"]).spawn_on_terminal(80, 24);
    launch.wait_for_stdout("accepting");
    launch.type_text("\u{3}");
    launch.wait().assert_code(130);

    // A shell looks for signals between its commands, and one that is about to block in `read` has looked already.
    let trap = "trap 'caught=yes; echo caught' INT; echo up; until [ \"$caught\" ]; do sleep 0.05; done; \
                read line; echo \"got $line\"; exit 5";
    let mut launch = scene.launch(["sh", "-c", trap]).spawn_on_terminal(80, 24);
    launch.wait_for_stdout("up");
    launch.type_text("\u{3}");
    launch.wait_for_stdout("caught");
    launch.type_text("more\n");
    launch.wait_for_stdout("got");
    launch.wait().assert_code(5);
    assert!(is_running(&scene.container("db")));
}

#[test]
fn a_harness_with_a_terminal_has_it() {
    let Some((scene, program)) = scene_with_server() else { return };
    let all = "stdin: terminal\r\nstdout: terminal\r\nstderr: terminal\r\n";
    let on_host = scene.launch([&program, "tty"]).spawn_on_terminal(80, 24).wait().assert_code(0);
    assert!(on_host.stdout().ends_with(all), "{on_host}");
    let (label, image) = (scene.label(), fixture_image());
    let harness = ["docker", "run", "--rm", "-it", "--label", &label, &image, "tty"];
    let inside = scene.launch(harness).spawn_on_terminal(80, 24).wait().assert_code(0);
    assert!(inside.stdout().ends_with(all), "{inside}");
}

#[test]
fn a_signal_while_waiting_ends_the_launch_and_leaves_the_sidecar_up() {
    let Some(scene) = scene_with_sleeper() else { return };
    let network = scene.network("net");
    let mut first = None;
    for dial in ["auto", "relay"] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            scene.take_events();
            let launch = scene.launch_with(["--dial", dial], scene.asking(&network, "db")).spawn();
            wait_until("it is asked", PATIENT, || scene.has_event("answered"));
            launch.signal(signal);
            launch.wait().assert_code(code);
            assert_eq!(scene.take_codes(), ["interrupted"]);
            let now = identity(&scene.container("db"));
            assert!(is_running(&scene.container("db")));
            assert_eq!(*first.get_or_insert_with(|| now.clone()), now);
            wait_until("only the sidecar is left on the network", PATIENT, || {
                let members = docker(["ps", "--all", "--quiet", "--filter", &format!("network={network}")]);
                members.lines().count() == 1
            });
        }
    }
    let mut launch = scene.launch(scene.asking(&network, "db")).spawn_on_terminal(80, 24);
    wait_until("it is asked", PATIENT, || scene.has_event("answered"));
    launch.type_text("\u{3}");
    launch.wait().assert_code(130);
    assert!(is_running(&scene.container("db")));
}

#[test]
fn nothing_but_the_harness_is_left_of_the_launch_while_it_runs() {
    let Some((scene, program)) = scene_with_server() else { return };
    let network = scene.network("net");
    assert_answered(scene.launch_with(["--dial", "relay"], scene.asking(&network, "db")).output());
    let launch = scene.launch_with(["--dial", "relay"], [&program, "cat"]).open_stdin().spawn();
    wait_until("the harness is told", PATIENT, || scene.has_event("harness-starting"));
    wait_until("the harness runs", PATIENT, || children(launch.id()).len() == 1);
    let child = children(launch.id())[0];
    let state = std::fs::read_to_string(format!("/proc/{child}/stat")).expect("it runs");
    assert!(!state.contains(") Z"), "{state}");
    let ended = launch.wait();
    assert!(ended.status.signal().is_none());
    ended.assert_code(0);
}

/// The processes whose parent this one is, zombies too.
fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|process| {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            behind_name.split(' ').nth(1) == Some(parent.to_string().as_str())
        })
        .collect()
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_stays_ignored() {
    let Some((scene, program)) = scene_with_server() else { return };
    let launch = Run::program(&scene, "/usr/bin/env")
        .args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_farrier"), "launch", "--", &program, "cat"])
        .open_stdin()
        .spawn();
    wait_until("the harness runs", PATIENT, || children(launch.id()).len() == 1);
    let harness = children(launch.id())[0];
    let ignored = |process: u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let mask =
            status.lines().find_map(|line| line.strip_prefix("SigIgn:").map(str::trim).map(str::to_owned));
        u64::from_str_radix(&mask.unwrap_or_default(), 16).unwrap_or(0) & 1 == 1
    };
    assert!(ignored(launch.id()) && ignored(harness), "both ignore SIGHUP, as `nohup` asks for");
    launch.signal(Signal::HUP);
    let mut launch = launch;
    launch.close_stdin();
    launch.wait().assert_code(0);
}

#[test]
fn a_detached_harness_is_warned_about() {
    let Some((scene, _)) = scene_with_server() else { return };
    let network = scene.network("net");
    let (label, image) = (scene.label(), fixture_image());
    let harness = ["docker", "run", "-d", "--label", &label, "--network", &network, &image, "wait"];
    let outcome = scene.launch(harness).output().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    [ID]
    --- stderr
    warning[harness-shape]: the harness is detached (-d), so farrier does not treat its sidecars as in use once it has started
     |
     = help: Omit `-d`, so that other launches cannot recreate the sidecars or disconnect them while the harness runs.
    farrier: db-[TOKEN]: create, because it does not exist
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    ");
    docker(["rm", "--force", outcome.stdout().trim()]);
}
