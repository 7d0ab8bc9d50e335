//! Sidecars of a session on a real engine: they live as long as one launch, whatever ends it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::engine::is_running;
use crate::support::launching::server;
use crate::support::proxy::Request;
use crate::support::tables::{is_whole, step};
use crate::support::{
    PATIENT, Proxy, Running, Scene, Signal, Trouble, assert_output, containers_named, docker, fixture_image,
    fixture_program, wait_until,
};

/// Two definitions: a shared `db`, and a `web` of each session, which comes after it and has a volume.
fn scene() -> Option<Scene> {
    let scene = Scene::with_docker()?;
    scene.define("db", &server(&fixture_image(), "stop_timeout = 1"));
    let top =
        format!("after = [\"{}\"]\nmounts = [\"volume:data:/data\"]\nstop_timeout = 1", scene.name("db"));
    scene.define("web", &server(&fixture_image(), &top).replace("\"shared\"", "\"session\""));
    Some(scene)
}

/// What is there of the scene's sessions: containers, volumes, and networks by the ids in these names.
fn left(scene: &Scene, ids: &BTreeSet<String>) -> Vec<String> {
    let mut left = containers_named(&scene.container("web"));
    let volumes =
        docker(["volume", "ls", "--quiet", "--filter", &format!("name={}", scene.container("web"))]);
    left.extend(volumes.lines().map(str::to_owned));
    let networks = docker(["network", "ls", "--format", "{{.Name}}", "--filter", "label=farrier.session"]);
    left.extend(
        networks.lines().filter(|name| ids.iter().any(|id| name.ends_with(id.as_str()))).map(str::to_owned),
    );
    left
}

/// The ids of the sessions that have a container now.
fn ids(scene: &Scene) -> BTreeSet<String> {
    let containers = containers_named(&scene.container("web")).into_iter();
    containers.filter_map(|name| name.trim_end_matches('_').rsplit('-').next().map(str::to_owned)).collect()
}

/// Waited for, because a command of another test sweeps the sessions of all: the one that this test ran leaves to it what it is
/// about to remove.
fn nothing_is_left(scene: &Scene, ids: &BTreeSet<String>) {
    wait_until("nothing is left of the session", PATIENT, || left(scene, ids).is_empty());
}

fn program() -> String {
    fixture_program().display().to_string()
}

/// A launch whose harness waits on this host.
fn waiting(scene: &Scene) -> (Running, BTreeSet<String>) {
    let launch = scene.launch([program(), "wait".to_owned()]).spawn();
    wait_until("the harness starts", PATIENT, || scene.has_event("harness-starting"));
    let ids = ids(scene);
    assert_eq!(ids.len(), 1, "{ids:?}");
    (launch, ids)
}

/// The guardian of a session.
fn guardian(ids: &BTreeSet<String>) -> Option<i32> {
    let is_its = |arguments: &str| {
        arguments.contains("--guard-session") && ids.iter().any(|id| arguments.contains(id))
    };
    std::fs::read_dir("/proc").expect("processes").flatten().find_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
        is_its(&String::from_utf8_lossy(&arguments)).then_some(process)
    })
}

fn kill(process: i32) {
    let process = rustix::process::Pid::from_raw(process).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("it is there");
}

#[test]
fn a_sidecar_of_a_session_lives_as_long_as_its_harness() {
    let Some(scene) = scene() else { return };
    // A harness in a container without a network of its own reaches both by name, and its exit code is its own.
    let image = fixture_image();
    let label = scene.label();
    let asking = |stem: &str| {
        let variable = scene.variable(stem);
        let harness = ["docker", "run", "--rm", "--label", &label, &image, "ask-env", &variable];
        scene.launch(harness).output().assert_code(0).stdout()
    };
    for stem in ["web", "db"] {
        assert!(asking(stem).contains("pong"), "{stem}");
        assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
    }
    let db = scene.container("db");
    assert!(is_running(&db), "the shared one stays");
    assert_eq!(networks_of(&db), ["farrier"], "and is on a network that stays");
    // Docker 28 connects a container only while the network that it was created on is there.
    let first = docker(["container", "inspect", "--format", "{{.HostConfig.NetworkMode}}", &db]);
    assert_eq!(first, "farrier", "and was created on it");
    // A harness on this host reaches it by address.
    let variable = scene.variable("web");
    let asked = scene.launch([program(), "ask-env".to_owned(), variable]).output().assert_code(0);
    assert_output!(asked, @"
    exit code 0
    --- stdout
    pong
    --- stderr
    farrier: db-[TOKEN]: reuse, because it is running and matches its definition
      connected to network farrier-session-[SESSION]
    farrier: web-[TOKEN]: create, because it does not exist
      after db-[TOKEN] (ready)
    farrier: network farrier-session-[SESSION]: created
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: web-[TOKEN]: ready after [TIME] ([COUNT] polls)
    ");
    scene.launch([program(), "exit".to_owned(), "7".to_owned()]).output().assert_code(7);
    assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
    // Without a harness there is none.
    let up = scene.up().output().assert_code(125);
    assert_output!(up, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[unsupported-lifecycle]: `web-[TOKEN]` is a session sidecar, which lives as long as the harness of one launch
     --> [SCENE]/config/farrier/sidecars/web-[TOKEN].toml:1:13
      |
    1 | lifecycle = "session"
      |             ^^^^^^^^^
      |
      = help: Start it with its harness: `farrier launch -- COMMAND`.
      = help: Or name the sidecars to start: `farrier up NAME`.
    "#);
    scene.up().arg(scene.name("db")).output().assert_code(0);
    let detached = scene.launch(["docker", "run", "-d", &image, "wait"]).output().assert_code(125);
    assert_output!(detached, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[harness-shape]: the harness is detached (-d), and `web-[TOKEN]` is gone when the harness's command ends
     |
     = help: Run the harness in the foreground: `farrier launch -- docker run IMAGE`.
     = help: Or write `lifecycle = "shared"`.
    "#);
}

fn networks_of(container: &str) -> Vec<String> {
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let networks = docker(["inspect", "--format", format, container]);
    networks.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_harness_that_named_its_network_is_on_the_sessions_too() {
    let Some(scene) = scene() else { return };
    let network = scene.network("own");
    let neighbour = scene.name("neighbour");
    let image = fixture_image();
    scene.docker_run([
        "--network",
        &network,
        "--name",
        &neighbour,
        &image,
        "serve",
        "--port",
        "7000",
        "--reply",
        "near",
    ]);
    let asked = scene.launch(scene.asking(&network, "web")).output().assert_code(0);
    assert_output!(asked, @"
    exit code 0
    --- stdout
    pong
    --- stderr
    farrier: db-[TOKEN]: create, because it does not exist
    farrier: web-[TOKEN]: create, because it does not exist
      after db-[TOKEN] (ready)
    farrier: network farrier-session-[SESSION]: created
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: web-[TOKEN]: ready after [TIME] ([COUNT] polls)
    ");
    let near =
        scene.launch(scene.in_container(&network, &["ask", &neighbour, "7000"])).output().assert_code(0);
    assert_output!(near, @"
    exit code 0
    --- stdout
    near
    --- stderr
    farrier: db-[TOKEN]: reuse, because it is running and matches its definition
      connected to network farrier-session-[SESSION]
    farrier: web-[TOKEN]: create, because it does not exist
      after db-[TOKEN] (ready)
    farrier: network farrier-session-[SESSION]: created
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: web-[TOKEN]: ready after [TIME] ([COUNT] polls)
    ");
    scene.launch(scene.in_container(&network, &["exit", "9"])).output().assert_code(9);
    assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
    let missing =
        scene.launch(["docker", "run", "--rm", "--network", &network, "farrier-no-such-image:1"]).output();
    assert_eq!(missing.code(), Some(125), "{missing}");
    assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
}

#[test]
fn two_sessions_of_the_same_definitions_do_not_meet() {
    let Some(scene) = scene() else { return };
    let first = scene.launch([program(), "wait".to_owned()]).spawn();
    wait_until("the first session runs", PATIENT, || scene.has_event("harness-starting"));
    let of_first = ids(&scene);
    let asked =
        scene.launch([program(), "ask-env".to_owned(), scene.variable("web")]).output().assert_code(0);
    assert_output!(asked, @"
    exit code 0
    --- stdout
    pong
    --- stderr
    farrier: db-[TOKEN]: reuse, because it is running and matches its definition
      connected to network farrier-session-[SESSION]
    farrier: web-[TOKEN]: create, because it does not exist
      after db-[TOKEN] (ready)
    farrier: network farrier-session-[SESSION]: created
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: web-[TOKEN]: ready after [TIME] ([COUNT] polls)
    ");
    assert_eq!(ids(&scene), of_first, "the first one's is untouched");
    let ps = scene.farrier(["ps", "--all", "--format", "json"]).output().assert_code(0);
    let ps: Value = serde_json::from_str(&ps.stdout()).expect("JSON");
    let web = ps["sidecars"]
        .as_array()
        .expect("sidecars")
        .iter()
        .find(|one| one["name"] == scene.name("web").as_str());
    let web = web.expect("the session's sidecar is shown");
    assert_eq!(web["match"], "session", "{web}");
    assert_eq!(web["session"].as_str(), of_first.iter().next().map(String::as_str), "{web}");
    assert_eq!(web["used_by"][0]["process"], first.id(), "{web}");
    first.signal(Signal::TERM);
    let _ = first.wait();
    assert_eq!(left(&scene, &of_first), Vec::<String>::new());
}

#[test]
fn whoever_is_killed_a_session_is_removed() {
    let Some(scene) = scene() else { return };
    // The launch: its guardian removes the session, and nobody runs a command.
    let (launch, of_launch) = waiting(&scene);
    // With the harness, which would go on.
    launch.signal_group(Signal::KILL);
    let _ = launch.wait();
    nothing_is_left(&scene, &of_launch);
    wait_until("the guardian ends", PATIENT, || guardian(&of_launch).is_none());
    assert!(is_running(&scene.container("db")));
    // The guardian: the launch does it.
    scene.take_events();
    let (launch, of_launch) = waiting(&scene);
    kill(guardian(&of_launch).expect("a guardian"));
    launch.signal(Signal::TERM);
    let _ = launch.wait();
    assert_eq!(left(&scene, &of_launch), Vec::<String>::new());
    // Both: the next command does it.
    scene.take_events();
    let (launch, of_launch) = waiting(&scene);
    kill(guardian(&of_launch).expect("a guardian"));
    launch.signal_group(Signal::KILL);
    let _ = launch.wait();
    scene.farrier(["ps"]).output().assert_code(0);
    nothing_is_left(&scene, &of_launch);
    // A signal while the sidecars start; this one ignores its stop signal.
    let slow = server(&fixture_image(), "command = [\"sleep\", \"1000000\"]\nstop_timeout = 1")
        .replace("\"shared\"", "\"session\"");
    scene.define("web", &slow);
    scene.take_events();
    let launch = scene.launch([program(), "wait".to_owned()]).spawn();
    wait_until("the sidecar starts", PATIENT, || scene.has_event("started"));
    let of_launch = ids(&scene);
    launch.signal(Signal::INT);
    launch.wait().assert_code(130);
    nothing_is_left(&scene, &of_launch);
}

/// An engine that is gone when the harness ends costs a sentence, not the harness's exit code.
#[test]
fn an_engine_that_is_away_at_the_end() {
    let Some(scene) = scene() else { return };
    let Some(proxy) = Proxy::new(&scene) else { return };
    let launch = proxy.before(scene.launch([program(), "wait".to_owned()])).spawn();
    wait_until("the harness starts", PATIENT, || scene.has_event("harness-starting"));
    let of_launch = ids(&scene);
    kill(guardian(&of_launch).expect("a guardian"));
    proxy.down(true);
    launch.signal(Signal::TERM);
    let ended = launch.wait();
    assert!(ended.stderr().contains("[session-left]"), "{ended}");
    assert_eq!(ended.code(), Some(143), "{ended}");
    scene.farrier(["ps"]).output().assert_code(0);
    nothing_is_left(&scene, &of_launch);
}

/// The ids of the sessions of which these requests were.
fn asked_about(requests: &[Request]) -> BTreeSet<String> {
    let named = requests.iter().filter_map(|request| {
        let line = &request.path;
        let at = line.find("farrier-session-")? + "farrier-session-".len();
        line.get(at..at + 16).map(str::to_owned)
    });
    named.collect()
}

/// What becomes of a request: the launch is killed while it is held, it fails, is late, or hangs until somebody interrupts.
const TROUBLES: [Trouble; 8] = [
    Trouble::HoldBefore,
    Trouble::HoldAfter,
    Trouble::Drop,
    Trouble::DropAfter,
    Trouble::Answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    Trouble::Late(Duration::from_millis(150)),
    Trouble::Hang,
    Trouble::HangAfter,
];

/// Requests of launches with an order, a job and a session.
#[test]
fn whatever_becomes_of_a_request_nothing_of_its_session_is_left() {
    let Some(scene) = scene() else { return };
    let Some(proxy) = Proxy::new(&scene) else { return };
    let job = format!("job = \"once\"\nafter = [\"{}\"]\ncommand = [\"exit\", \"0\"]", scene.name("db"));
    let image = fixture_image();
    scene.define(
        "migrate",
        &format!("lifecycle = \"session\"\nimage = \"{image}\"\n{job}\n[interface]\nkind = \"none\"\n"),
    );
    let top = format!(
        "after = [{{ sidecar = \"{}\", until = \"succeeded\" }}]\nmounts = [\"volume:data:/data\"]\nstop_timeout = 1",
        scene.name("migrate")
    );
    scene.define("web", &server(&image, &top).replace("\"shared\"", "\"session\""));
    let launch = || scene.launch([program(), "exit".to_owned(), "0".to_owned()]);
    proxy.before(launch()).output().assert_code(0);
    let length = proxy.requests().len();
    let cases = (0..length).flat_map(|index| TROUBLES.map(|trouble| (index, trouble)));
    let every = step(97);
    let mut ran = 0;
    for (index, trouble) in cases.step_by(every) {
        proxy.calm();
        proxy.at(index, trouble);
        let mut running = proxy.before(launch()).spawn();
        match trouble {
            Trouble::HoldBefore | Trouble::HoldAfter if proxy.wait_held(|| running.has_ended()) => {
                running.signal(Signal::KILL);
            }
            Trouble::Hang | Trouble::HangAfter => {
                proxy.wait_requests(index + 1, || running.has_ended());
                if !running.has_ended() {
                    running.signal(Signal::INT);
                }
            }
            _ => {}
        }
        let ended = running.wait();
        let requests = proxy.requests();
        let what =
            format!("{trouble:?} at {index}: {}", requests.get(index).map(Request::line).unwrap_or_default());
        proxy.release();
        assert!(!ended.stderr().contains("panicked"), "{what}: {ended}");
        assert!(matches!(ended.code(), None | Some(0 | 125 | 130)), "{what}: {ended}");
        let of_launch = asked_about(&requests);
        wait_until(&format!("{what}: the guardian ends"), PATIENT, || {
            of_launch.is_empty() || guardian(&of_launch).is_none()
        });
        nothing_is_left(&scene, &of_launch);
        let again = launch().output();
        assert_eq!(again.code(), Some(0), "{what}: the next launch: {again}");
        nothing_is_left(&scene, &BTreeSet::new());
        ran += 1;
    }
    println!(
        "{ran} of {} cases of requests with an order, a job and a session, left: 0",
        length * TROUBLES.len()
    );
}

/// Where a launch is when the signal comes: the request that hangs then.
const STAGES: [&str; 4] = ["/info", "/networks/create", "/containers/create", "/start"];

#[test]
fn a_signal_at_any_stage_of_a_session_ends_it() {
    let Some(scene) = scene() else { return };
    let Some(proxy) = Proxy::new(&scene) else { return };
    scene.up().arg(scene.name("db")).output().assert_code(0);
    for part in STAGES {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            proxy.calm();
            proxy.everywhere(part, Trouble::Hang);
            let launch = proxy.before(scene.launch([program(), "wait".to_owned()])).spawn();
            wait_until(part, PATIENT, || proxy.requests().iter().any(|request| request.path.contains(part)));
            launch.signal(signal);
            let requests = proxy.requests();
            launch.wait().assert_code(code);
            proxy.calm();
            nothing_is_left(&scene, &asked_about(&requests));
        }
    }
}

/// Whoever cannot wait for the sidecars' grace does not have to.
#[test]
fn a_second_signal_ends_the_command_at_once_and_the_removal_goes_on() {
    let Some(scene) = scene() else { return };
    // As process 1 it ignores its stop signal.
    let slow = server(&fixture_image(), "command = [\"sleep\", \"1000000\"]\nstop_timeout = 600")
        .replace("\"shared\"", "\"session\"");
    scene.define("web", &slow);
    for starts in [true, false] {
        if !starts {
            scene.define("web", &slow.replace("probe = \"tcp\"", "probe = \"skip\""));
        }
        scene.take_events();
        let launch = scene.launch([program(), "wait".to_owned()]).spawn();
        let stage = if starts { "started" } else { "harness-starting" };
        wait_until(stage, PATIENT, || scene.has_event(stage));
        let of_launch = ids(&scene);
        launch.signal(Signal::INT);
        wait_until("it is being stopped", PATIENT, || scene.has_event("stopping"));
        launch.signal(Signal::INT);
        let ended = launch.wait().assert_code(130);
        assert!(ended.stderr().contains("[session-left]"), "{ended}");
        let containers = containers_named(&scene.container("web"));
        assert!(!containers.is_empty(), "its grace is not over: {ended}");
        for container in containers {
            docker(["kill", &container]);
        }
        nothing_is_left(&scene, &of_launch);
    }
}

/// A sidecar's container learns where the workspace is that it mounts, if it has the engine's socket.
#[test]
fn a_session_mounts_the_workspace_and_knows_where_it_is() {
    let Some(scene) = scene() else { return };
    let workspace = scene.workspace().canonicalize().expect("a path");
    std::fs::write(workspace.join("file"), "of the workspace").expect("a file");
    let define = |lifecycle: &str, top: &str| {
        scene
            .define("web", &server(&fixture_image(), top).replace("\"shared\"", &format!("\"{lifecycle}\"")));
    };
    define("session", "mounts = [\"workspace:/src:ro\", \"docker-socket:ro\"]");
    let launch = scene.launch([program(), "wait".to_owned()]).spawn();
    wait_until("the harness starts", PATIENT, || scene.has_event("harness-starting"));
    let container = containers_named(&scene.container("web")).remove(0);
    assert_eq!(docker(["exec", &container, "/fixture", "read", "/src/file"]), "of the workspace");
    let told = docker(["exec", &container, "/fixture", "env"]);
    assert!(told.contains(&format!("SWARMFORGE_WORKSPACE_HOST_PATH={}", workspace.display())), "{told}");
    launch.signal(Signal::TERM);
    launch.wait().assert_code(143);
    // One that outlives the launch would keep it; and without a workspace there is none to mount.
    define("shared", "mounts = [\"workspace:/src\"]");
    let refused = scene.farrier(["validate"]).output().assert_code(125);
    assert_output!(refused, @r#"
    exit code 125
    --- stdout
    error[unsupported-mount]: `web-[TOKEN]` is shared and mounts the workspace, which every later launch that reuses it would see
     --> [SCENE]/config/farrier/sidecars/web-[TOKEN].toml:4:11
      |
    4 | mounts = ["workspace:/src"]
      |           ^^^^^^^^^^^^^^^^
      |
      = help: Write `lifecycle = "session"` if each launch may have a sidecar of its own.

    layer user      [SCENE]/config/farrier/sidecars (2 files)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    2 sidecars, 1 error, 0 warnings
    --- stderr
    "#);
    define("session", "mounts = [\"workspace:/src\"]");
    let elsewhere = scene.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("a folder");
    let outside = scene.launch(["true"]).directory(&elsewhere).output();
    assert!(matches!(outside.code(), Some(2 | 125)) && outside.stderr().contains("workspace"), "{outside}");
}

/// On its own network, somebody else has the name of a session's sidecar: the harness would find either.
#[test]
fn a_name_that_is_taken_on_the_harnesss_own_network_is_refused() {
    let Some(scene) = scene() else { return };
    let network = scene.network("own");
    let (web, image) = (scene.name("web"), fixture_image());
    let container = scene.docker_run(["--network", &network, "--network-alias", &web, &image, "wait"]);
    let refused = scene.launch(scene.asking(&network, "web")).output().assert_code(125);
    assert!(refused.stderr().contains("[alias-taken]") && refused.stderr().contains(&network), "{refused}");
    assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
    docker(["network", "disconnect", &network, &container]);
    scene.launch(scene.asking(&network, "web")).output().assert_code(0);
}

/// A test suite that launches again and again, two at a time.
#[test]
fn many_sessions_leave_nothing() {
    let Some(scene) = scene() else { return };
    scene.up().arg(scene.name("db")).output().assert_code(0);
    let rounds = if is_whole() { 25 } else { 3 };
    for _ in 0..rounds {
        let both =
            [(); 2].map(|()| scene.launch([program(), "ask-env".to_owned(), scene.variable("web")]).spawn());
        for launch in both {
            launch.wait().assert_code(0);
        }
    }
    assert_eq!(left(&scene, &BTreeSet::new()), Vec::<String>::new());
    println!("{} sessions, two at a time, left: 0", 2 * rounds);
}
