//! Sessions on the built-in engine: programs and containers that live as long as one launch, whatever ends it.

mod faults;
pub mod setup;
mod signals;

use serde_json::Value;

use self::setup::{Kind, Stack};
use crate::programs::setup::{Programs, processes_with};
use crate::support::host_programs::with_shell;
use crate::support::tables::is_whole;
use crate::support::{Layer, PATIENT, Signal, assert_output, fixture_program, free_port, wait_until};

#[test]
fn a_session_lives_as_long_as_its_harness() {
    for kind in Kind::ALL {
        let stack = Stack::new(kind);
        for _ in 0..2 {
            let asked = stack.asking("web").output().assert_code(0);
            assert_eq!(asked.stdout(), "pong\n", "{asked}");
            stack.is_gone(&format!("{kind:?}: the harness has ended"));
        }
        stack.launch(&["exit", "7"]).output().assert_code(7);
        stack.is_gone("the harness's exit code is its own");
        assert_eq!(stack.images.sidecar("db")["state"], "running", "the shared one stays");
        let up = stack.images.farrier(["up"]).output().assert_code(125);
        assert!(up.stderr().contains("farrier launch -- COMMAND"), "{up}");
    }
}

#[test]
fn two_sessions_of_the_same_definitions_do_not_meet() {
    // Two programs cannot have one port.
    let stack = Stack::new(Kind::Containers);
    stack.asked_by_name();
    let first = stack.launch(&["wait"]).spawn();
    stack.wait_until_it_runs();
    let web = stack.images.sidecar("web");
    let log = || {
        let container = web["container"].as_str().expect("a container");
        stack.images.farrier(["logs", container]).output().assert_code(0).stdout()
    };
    let heard = log().matches("by name").count();
    assert!(heard > 0, "its own job asked it: {}", log());
    let asked = stack.asking("web").output().assert_code(0);
    assert_eq!(asked.stdout(), "pong\n", "{asked}");
    let now = stack.images.sidecar("web");
    assert_eq!((&now["id"], &now["state"]), (&web["id"], &"running".into()), "the first one's is untouched");
    assert_eq!(
        log().matches("by name").count(),
        heard,
        "the second one's job asked the second one: {}",
        log()
    );
    assert_eq!(
        (&web["match"], &web["used_by"][0]["process"]),
        (&"session".into(), &first.id().into()),
        "{web}"
    );
    first.signal(Signal::TERM);
    first.wait().assert_code(143);
    stack.is_gone("both have ended");
}

/// Whoever is killed: the guardian, or the next command, clears up.
#[test]
fn whoever_is_killed_a_session_is_removed() {
    for kind in Kind::ALL {
        let stack = Stack::new(kind);
        let kill = |process: i32| {
            let process = rustix::process::Pid::from_raw(process).expect("a process");
            rustix::process::kill_process(process, Signal::KILL).expect("it is there");
        };
        let launch = stack.launch(&["wait"]).spawn();
        stack.wait_until_it_runs();
        launch.signal_group(Signal::KILL);
        let _ = launch.wait();
        stack.is_gone_soon(&format!("{kind:?}: the launch was killed"));

        let launch = stack.launch(&["wait"]).spawn();
        stack.wait_until_it_runs();
        kill(stack.guardian().expect("a guardian"));
        launch.signal(Signal::TERM);
        launch.wait().assert_code(143);
        stack.is_gone("the guardian was killed");

        let launch = stack.launch(&["wait"]).spawn();
        stack.wait_until_it_runs();
        kill(stack.guardian().expect("a guardian"));
        launch.signal_group(Signal::KILL);
        let _ = launch.wait();
        stack.images.farrier(["ps"]).output().assert_code(0);
        stack.is_gone("both were killed, and a command ran");
    }
}

/// Also not a file of a lock, of which nobody takes the name again.
#[test]
fn a_session_that_is_killed_while_it_starts_leaves_no_lock() {
    let stack = Stack::new(Kind::Programs);
    stack.never_ready();
    let launch = stack.launch(&["exit", "0"]).spawn();
    wait_until("its program runs", PATIENT, || !processes_with("TOKEN", stack.token()).is_empty());
    assert!(!stack.locks().is_empty(), "its name is locked");
    launch.signal_group(Signal::KILL);
    let _ = launch.wait();
    stack.is_gone_soon("the launch was killed");
    wait_until("no lock is left", PATIENT, || stack.locks().is_empty());
}

/// A test suite that launches again and again, two at a time.
#[test]
fn many_sessions_leave_nothing() {
    let stack = Stack::new(Kind::Containers);
    stack.images.farrier(["up"]).arg(stack.images.programs.scene.name("db")).output().assert_code(0);
    let rounds = if is_whole() { 25 } else { 3 };
    for _ in 0..rounds {
        let both = [(); 2].map(|()| stack.asking("web").spawn());
        for launch in both {
            assert_eq!(launch.wait().assert_code(0).stdout(), "pong\n");
        }
    }
    stack.is_gone("all have ended");
    wait_until("no lock is left", PATIENT, || stack.locks().is_empty());
    println!("{} sessions, two at a time, left: 0", 2 * rounds);
}

#[test]
fn a_session_mounts_the_workspace() {
    let stack = Stack::new(Kind::Containers);
    let scene = &stack.images.programs.scene;
    std::fs::write(scene.workspace().join("file"), "of the workspace\n").expect("a file");
    stack.images.layout("shell", &with_shell());
    let script = "cat /src/file; touch /src/made || echo refused";
    let define = |lifecycle: &str, mount: &str| {
        let text = format!(
            "lifecycle = '{lifecycle}'\nimage = 'oci:./shell'\nmounts = ['{mount}']\n\
             entrypoint = ['/bin/sh', '-c', '{script}']\njob = 'once'\n[interface]\nkind = 'none'\n"
        );
        scene.define("tool", &text);
    };
    let told = || {
        let path = scene.path("told");
        drop(std::fs::remove_file(&path));
        let script =
            format!("'{}' logs {} > '{}'", env!("CARGO_BIN_EXE_farrier"), scene.name("tool"), path.display());
        stack.images.farrier(["launch", "--", "sh", "-c", &script]).output().assert_code(0);
        std::fs::read_to_string(&path).expect("the job's output")
    };
    define("session", "workspace:/src");
    assert_eq!(told(), "of the workspace\n");
    assert!(scene.workspace().join("made").exists(), "it may write");
    define("session", "workspace:/src:ro");
    let log = told();
    assert!(log.ends_with("refused\n") && log.contains("of the workspace"), "{log}");
    // One that outlives the launch would keep it, and be used for another workspace.
    define("shared", "workspace:/src");
    let refused = stack.images.farrier(["validate"]).output().assert_code(125);
    assert_output!(refused, @r#"
    exit code 125
    --- stdout
    error[unsupported-mount]: `tool-[TOKEN]` is shared and mounts the workspace, which every later launch that reuses it would see
     --> [SCENE]/config/farrier/sidecars/tool-[TOKEN].toml:3:11
      |
    3 | mounts = ['workspace:/src']
      |           ^^^^^^^^^^^^^^^^
      |
      = help: Write `lifecycle = "session"` if each launch may have a sidecar of its own.

    layer user      [SCENE]/config/farrier/sidecars (4 files)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    4 sidecars, 1 error, 0 warnings
    --- stderr
    "#);
    // The report names only what is left, and nothing that this definition may not say.
    let failing = "lifecycle = 'session'\nimage = 'oci:./shell'\nmounts = ['workspace:/src']\n\
                   entrypoint = ['/bin/sh', '-c', 'exit 3']\njob = 'once'\n[interface]\nkind = 'none'\n";
    scene.define("tool", failing);
    let failed = stack.images.farrier(["launch", "--", "true"]).output().assert_code(125);
    assert!(
        failed.stderr().contains("help: The container and its log were removed with the session.\n"),
        "{failed}"
    );
    // Without a workspace there is none to mount.
    define("session", "workspace:/src");
    let elsewhere = scene.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("a folder");
    let outside = stack.images.farrier(["launch", "--", "true"]).directory(&elsewhere).output();
    assert!(matches!(outside.code(), Some(2 | 125)), "{outside}");
    assert!(outside.stderr().contains("workspace"), "{outside}");
}

/// The container of a session's sidecar is removed with its log, so nobody is sent there.
#[test]
fn a_failed_launch_says_where_the_whole_log_is() {
    let programs = Programs::new();
    let (scene, program) = (&programs.scene, fixture_program().display().to_string());
    let removed = "The container and its log were removed with the session. To keep them, write `lifecycle = \"shared\"` until \
                   you have found the cause.";
    let end = scene.path("end");
    let port = free_port();
    let serve = format!(
        "program = ['{program}', 'serve', '--port', '{port}', '--exit-when', '{}', '--code', '3']\non_exit = 'stop'\n\
         [interface]\nkind = 'port'\nport = {port}\n[readiness]\nprobe = 'tcp'\n",
        end.display()
    );
    let job = format!("program = ['{program}', 'exit', '3']\njob = 'once'\n[interface]\nkind = 'none'\n");
    // One that fails before the harness starts, and one that ends beside it.
    for (text, code) in [(job, "error[job-failed]"), (serve, "error[sidecar-ended]")] {
        for lifecycle in ["session", "shared"] {
            drop(std::fs::remove_file(&end));
            scene.define("it", &format!("lifecycle = '{lifecycle}'\n{text}"));
            let touch = ["launch", "--", "sh", "-c", &format!("touch '{}'; exec sleep 1000", end.display())];
            let failed = programs.farrier(touch).output().assert_code(125).stderr();
            assert!(failed.contains(code), "{failed}");
            if lifecycle == "session" {
                assert!(failed.contains(removed) && !failed.contains("farrier logs"), "{failed}");
                continue;
            }
            assert!(!failed.contains("removed with the session"), "{failed}");
            let hint = format!("Read the whole log with `farrier logs {}`.", scene.name("it"));
            assert!(failed.contains(&hint), "{failed}");
            programs.farrier(["logs", &scene.name("it")]).output().assert_code(0);
            programs.farrier(["down", "--yes", &scene.name("it")]).output().assert_code(0);
        }
    }
}

/// A stranger's session says how to start it.
#[test]
fn a_workspaces_session_is_approved_like_any_other_sidecar() {
    let stack = Stack::new(Kind::Programs);
    let scene = &stack.images.programs.scene;
    let file = format!("{}.toml", scene.name("tool"));
    let text = "lifecycle = 'session'\nprogram = ['sleep', '1000']\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n";
    scene.define_in(Layer::Workspace, &file, text);
    let refused = stack.images.farrier(["launch", "--no-prompt", "--", "true"]).output().assert_code(125);
    assert_output!(refused, @"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `tool-[TOKEN]` comes from the workspace, and you have not approved it
     --> [SCENE]/workspace/.farrier/sidecars/tool-[TOKEN].toml:1:1
      |
    1 | lifecycle = 'session'
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve tool-[TOKEN]`.
      = help: If you have already reviewed it: `farrier approve tool-[TOKEN] --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    ");
    stack.is_gone("nothing was started");
    let plan = stack.images.farrier(["plan", "--format", "json"]).output().assert_code(0).stdout();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert!(plan["sidecars"].as_array().is_some_and(|all| all.len() == 4), "{plan}");
}
