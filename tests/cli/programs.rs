//! Programs of this host as sidecars: under supervisors, without any engine beside farrier itself.

mod confined;
mod order;
pub(crate) mod setup;
mod used;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::setup::{Programs, processes_with};
use crate::support::{Layer, PATIENT, assert_output, fixture_program, free_port, wait_until};

#[test]
fn a_program_is_started_once_and_the_harness_reaches_it() {
    let programs = Programs::new();
    let port = free_port();
    programs.serving("api", port, &format!("'--port', '{port}', '--reply', 'hello'"));
    let name = programs.scene.variable("api");
    let harness = fixture_program().display().to_string();
    let asked = programs.farrier(["launch", "--", &harness, "ask-env", &name]).output().assert_code(0);
    assert_eq!(asked.stdout(), "hello\n", "{asked}");
    let first = programs.only();
    let again = programs.farrier(["launch", "--", &harness, "ask-env", &name]).output().assert_code(0);
    assert_eq!(again.stdout(), "hello\n");
    assert_eq!(programs.only()["id"], first["id"], "it is used as it is");
    assert_eq!((&first["state"], &first["engine"]), (&"running".into(), &"native".into()));
    let plan = programs.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(
        plan.contains("engine native\n")
            && plan.contains(": reuse, because it is running and matches its definition"),
        "{plan}"
    );
}

#[test]
fn a_new_build_recreates_the_program_and_the_plan_says_so() {
    let programs = Programs::new();
    let file = programs.scene.path("server");
    let build = |word: &str| {
        let text = format!("#!/bin/sh\necho {word}\nexec sleep 1000\n");
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    };
    build("one");
    programs.plain("server", &format!("program = ['{}']", file.display()));
    programs.farrier(["up"]).output().assert_code(0);
    let first = programs.only();
    build("two");
    let plan = programs.farrier(["plan", "--format", "json"]).output().assert_code(0).stdout();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let cause = &plan["sidecars"][0]["causes"][0];
    assert_eq!((&plan["sidecars"][0]["action"], &cause["kind"]), (&"recreate".into(), &"program".into()));
    programs.farrier(["up"]).output().assert_code(0);
    let second = programs.only();
    assert!(
        first["id"] != second["id"]
            && cause["from"] == first["image_id"]
            && cause["to"] == second["image_id"]
    );
    programs.wait_for_log("server", "two\n");
}

#[test]
fn nothing_is_inherited_but_what_every_program_needs() {
    let programs = Programs::new();
    let text = "program = ['sh', '-c', 'env | sort; ls /proc/self/fd | tr \"\\n\" \" \"; echo; pwd; grep SigBlk /proc/self/status; echo whole; exec sleep 1000']\n\
                env = { OWN = 'mine' }";
    programs.plain("seen", text);
    let up = programs.farrier(["up"]).started_by(["/usr/bin/env", "--block-signal=TERM,USR1"]);
    up.env("SECRET", "hunter2").env("LANG", "C.UTF-8").output().assert_code(0);
    programs.wait_for_log("seen", "whole\n");
    let log = programs.log("seen");
    let names: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let allowed = ["FARRIER_INSTANCE", "HOME", "LANG", "OLDPWD", "OWN", "PATH", "PWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| allowed.contains(name)) && names.contains(&"OWN"), "{log}");
    assert!(names.contains(&"HOME") && names.contains(&"LANG"), "{log}");
    // The three streams, and the folder that `ls` reads.
    assert!(log.lines().any(|line| line == "0 1 2 3 "), "{log}");
    assert!(log.lines().any(|line| line.ends_with("/work")), "{log}");
    assert!(log.contains("SigBlk:\t0000000000000000\n"), "{log}");
}

#[test]
fn a_program_ends_by_its_stop_signal_in_its_grace_period() {
    let programs = Programs::new();
    let said = programs.scene.path("said");
    let script = format!(
        "trap 'echo bye > {}; exit 0' INT; echo waiting; while :; do sleep 0.05; done",
        said.display()
    );
    programs.plain("polite", &format!("program = ['sh', '-c', \"{script}\"]\nstop_signal = 'INT'"));
    programs.farrier(["up"]).output().assert_code(0);
    programs.wait_for_log("polite", "waiting\n");
    programs.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(std::fs::read_to_string(&said).expect("it was asked"), "bye\n");
    assert!(programs.all().is_empty());
}

#[test]
fn what_ignores_its_stop_signal_is_killed_with_all_that_came_of_it() {
    let programs = Programs::new();
    let token = programs.scene.token().to_owned();
    let script = "trap '' TERM; setsid sh -c 'trap \\\"\\\" TERM; sleep 1000; sleep 1000' & (setsid sleep 1000 &) ; echo up; \
                  while :; do sleep 1000; done";
    let text = format!(
        "program = ['sh', '-c', \"{script}\"]\nenv = {{ TOKEN = '{token}' }}\nstop_timeout = '200ms'"
    );
    programs.plain("stubborn", &text);
    programs.farrier(["up"]).output().assert_code(0);
    programs.wait_for_log("stubborn", "up\n");
    wait_until("all are there", PATIENT, || processes_with("TOKEN", &token).len() >= 5);
    programs.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(processes_with("TOKEN", &token).is_empty());
}

#[test]
fn the_next_command_repairs_what_a_killed_supervisor_left() {
    let programs = Programs::new();
    let token = programs.scene.token().to_owned();
    let port = free_port();
    programs.serving_with(
        "api",
        port,
        &format!("'--port', '{port}'"),
        &format!("env = {{ TOKEN = '{token}' }}"),
    );
    programs.farrier(["up"]).output().assert_code(0);
    let first = programs.only();
    let left = processes_with("TOKEN", &token);
    let supervisor = programs.supervisor(&first);
    kill_process(supervisor, Signal::KILL).expect("it runs");
    wait_until("it is gone", PATIENT, || programs.only()["state"] == "exited");
    assert_eq!(processes_with("TOKEN", &token), left, "the program goes on without it");
    let up = programs.farrier(["up"]).output().assert_code(0);
    assert_ne!(programs.only()["id"], first["id"], "{up}");
    let now = processes_with("TOKEN", &token);
    assert!(now.len() == 1 && now != left, "{now:?} {left:?}");
    kill_process(programs.supervisor(&programs.only()), Signal::KILL).expect("it runs");
    programs.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(processes_with("TOKEN", &token).is_empty());
}

#[test]
fn a_supervisor_that_is_stopped_or_bothered_does_its_work() {
    let programs = Programs::new();
    programs.plain("calm", "program = ['sleep', '1000']");
    programs.farrier(["up"]).output().assert_code(0);
    let first = programs.only();
    let supervisor = programs.supervisor(&first);
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::ALARM] {
        kill_process(supervisor, signal).expect("it runs");
    }
    programs.farrier(["up"]).output().assert_code(0);
    assert_eq!(programs.only()["id"], first["id"]);
    kill_process(supervisor, Signal::STOP).expect("it runs");
    programs.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(programs.all().is_empty());
}

#[test]
fn a_failure_tells_exit_code_and_last_words() {
    let programs = Programs::new();
    let fixture = fixture_program();
    let port = free_port();
    let text = format!(
        "program = ['{}', 'crash', 'no such database', '3']\n[interface]\nkind = 'port'\nport = {port}\n\
         [readiness]\nprobe = 'tcp'\n",
        fixture.display()
    );
    programs.define("broken", &text);
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert!(up.stderr().contains("exited with code 3") && up.stderr().contains("no such database"), "{up}");
}

#[test]
fn what_cannot_be_started_is_refused_by_name() {
    let programs = Programs::new();
    programs.plain("absent", "program = ['no-such-program-of-anybody']");
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[program-missing]: the program `no-such-program-of-anybody` is not on PATH
     --> [SCENE]/config/farrier/sidecars/absent-[TOKEN].toml:2:1
      |
    2 | program = ['no-such-program-of-anybody']
      | ^^^^^^^
      |
      = help: Install it, check its spelling and PATH, or name its file: `program = ["./server"]`.
    "#);
    let script = programs.scene.path("script");
    std::fs::write(&script, "#!/no/such/shell\n").expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    programs.plain("absent", &format!("program = ['{}']", script.display()));
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: absent-[TOKEN]: create, because it does not exist
    error[program-missing]: `[SCENE]/script` does not start: start the program: No such file or directory (os error 2)
     --> [SCENE]/config/farrier/sidecars/absent-[TOKEN].toml:2:1
      |
    2 | program = ['[SCENE]/script']
      | ^^^^^^^
      |
      = help: Check that the program exists, and also the interpreter in its first line (`#!…`) or its loader.
      = help: See `farrier explain program-missing`.
    ");
    assert!(programs.all().is_empty(), "nothing is left of it");
}

#[test]
fn a_port_of_somebody_else_is_not_taken_for_the_sidecar() {
    let programs = Programs::new();
    let port = free_port();
    let other = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    programs.serving("api", port, &format!("'--port', '{port}'"));
    let up = programs.farrier(["up"]).output().assert_code(125);
    let process = std::process::id();
    assert!(
        up.stderr().contains("[port-taken]") && up.stderr().contains(&format!("process {process} ")),
        "{up}"
    );
    drop(other);
    // A child of another test may have it a moment longer, until it executes its program.
    wait_until("nobody listens", PATIENT, || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    programs.farrier(["up"]).output().assert_code(0);
}

#[test]
fn a_harness_in_a_container_does_not_reach_a_program() {
    let programs = Programs::new();
    programs.serving("api", 7000, "'--port', '7000'");
    let launch = programs.farrier(["launch", "--", "docker", "run", "image"]).output().assert_code(125);
    assert_output!(launch, @"
    exit code 125
    --- stdout
    --- stderr
    error[harness-no-route]: the harness runs in a container, and cannot reach `api-[TOKEN]` on this host: Cannot connect to the Docker daemon at unix:///nowhere.sock. Is the docker daemon running?
     |
     = help: Run the harness on this host, or give it `--network host`.
    ");
    assert!(programs.all().is_empty());
}

#[test]
fn a_harness_in_a_container_does_not_reach_sidecars_of_two_engines_with_networks() {
    let programs = Programs::new();
    programs.plain("box", "image = 'postgres:16'\nengine = 'docker'");
    programs.plain("cache", "image = 'redis:7'\nengine = 'swarm'");
    let launch = programs.farrier(["launch", "--", "docker", "run", "image"]).output().assert_code(125);
    let (said, (one, other)) = (launch.stderr(), (programs.scene.name("cache"), programs.scene.name("box")));
    let sentence = format!("`{one}` (engine `swarm`) shares none with `{other}` (engine `docker`)");
    assert!(said.contains("[harness-no-route]") && said.contains(&sentence), "{said}");
}

#[test]
fn an_engine_that_was_asked_for_says_what_it_cannot_do() {
    let programs = Programs::new();
    programs.plain("box", "image = 'postgres:16'\nmounts = ['docker-socket:ro']");
    let up = programs.farrier(["up", "--engine", "native"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `native` has no socket that a sidecar could use
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:3:1
      |
    3 | mounts = ['docker-socket:ro']
      | ^^^^^^
      |
      = help: Remove `docker-socket` from `mounts`, or run the sidecar on an engine such as `docker`.
    ");
    programs.plain("box", "program = ['sleep', '1000']\nresources.gpus = 'all'");
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `native` does not support `resources.gpus`
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:3:18
      |
    3 | resources.gpus = 'all'
      |                  ^^^^^
      |
      = help: Remove the setting if the sidecar can run without it.
    ");
    programs.plain("box", "program = ['sleep', '1000']");
    let up = programs.farrier(["up"]).env("FARRIER_ENGINE", "docker").output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `docker` runs no programs on this host
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:1
      |
    2 | program = ['sleep', '1000']
      | ^^^^^^^
      |
      = help: Use `--engine auto`, or name an `image`.
    ");
    // An engine that the definition names is said once, with what to change there.
    programs.plain("box", "program = ['sleep', '1000']\nengine = 'swarm'");
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `swarm` runs no programs on this host
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:1
      |
    2 | program = ['sleep', '1000']
      | ^^^^^^^
      |
      = help: Remove the key `engine`, or name an `image`.
    ");
    programs.plain("box", "program = ['sleep', '1000']\nengine = 'natve'");
    let up = programs.farrier(["up"]).output().assert_code(2);
    assert!(up.stderr().contains("Write `engine = \"native\"`"), "{up}");
}

#[test]
fn a_program_may_use_as_much_as_its_definition_says() {
    let programs = Programs::new();
    let token = programs.scene.token().to_owned();
    let bomb = "(i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done); exec sleep 1000";
    programs.plain("box", &format!(
        "program = ['sh', '-c', '''exec 2>&1; {bomb}''']\nresources = {{ pids = 20, cpus = 0.5 }}\nenv = {{ TOKEN = '{token}' }}"
    ));
    let up = programs.farrier(["up"]).output();
    if up.stderr().contains("by a control group") {
        assert!(up.stderr().contains("limit processors, processes"), "{up}");
    } else {
        up.assert_code(0);
        programs.wait_for_log("box", "ork");
        assert!(processes_with("TOKEN", &token).len() <= 20);
        programs.farrier(["down", "--yes"]).output().assert_code(0);
        wait_until("nothing is left", PATIENT, || processes_with("TOKEN", &token).is_empty());
    }
    // Where there are no control groups, each of its processes is limited.
    let eat = format!("program = ['{}', 'eat-memory', '200']", fixture_program().display());
    programs.plain("box", &format!("{eat}\nresources.memory = '32m'"));
    // It may end before this does, or after.
    let code = programs.farrier(["up"]).output().code();
    assert!(matches!(code, Some(0 | 125)), "{code:?}");
    wait_until("it has ended", PATIENT, || programs.only()["state"] == "exited");
    assert!(!programs.log("box").contains("holding"));
}

#[test]
fn a_command_decides_in_the_programs_own_surroundings() {
    let programs = Programs::new();
    let text = "program = ['sh', '-c', 'echo $SECRET > token; exec sleep 1000']\nenv = { SECRET = 'word' }\n\
                [interface]\nkind = 'none'\n[readiness]\nprobe = 'exec'\n\
                command = ['sh', '-c', 'test \"$(cat token)\" = \"$SECRET\"']\n";
    programs.define("own", text);
    programs.farrier(["up"]).output().assert_code(0);
}

#[test]
fn a_workspaces_program_is_shown_for_what_it_is_and_each_build_is_asked_about() {
    let programs = Programs::new();
    let folder = programs.scene.layer(Layer::Workspace);
    let build = |word: &str| {
        let file = folder.join("server");
        std::fs::write(&file, format!("#!/bin/sh\n# {word}\nexec sleep 1000\n")).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    };
    build("one");
    let name = programs.scene.name("theirs");
    let text = "lifecycle = 'shared'\nprogram = ['./server']\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n";
    programs.scene.define_in(Layer::Workspace, &format!("{name}.toml"), text);
    let shown = programs.farrier(["approve", &name, "--format", "json"]).output();
    assert_output!(shown, @r#"
    exit code 125
    --- stdout
    {
      "sidecars": [
        {
          "approved": false,
          "changes": null,
          "denied": [],
          "differences": null,
          "disables": false,
          "file": "[SCENE]/workspace/.farrier/sidecars/theirs-[TOKEN].toml",
          "grants": [],
          "hash": "[ID]",
          "sidecar": "theirs-[TOKEN]",
          "statement": [
            {
              "label": "program file",
              "text": "\"[SCENE]/workspace/.farrier/sidecars/server\", [ID]; it may run other files, which are not shown"
            },
            {
              "label": "mounts",
              "text": "none"
            },
            {
              "label": "program",
              "text": "[\"./server\"], which runs on this machine as you, unconfined: it can do everything that you can do"
            },
            {
              "label": "networks",
              "text": "this machine's own"
            },
            {
              "label": "memory",
              "text": "no limit"
            },
            {
              "label": "reached",
              "text": "not at all"
            },
            {
              "label": "readiness: probe",
              "text": "skip, which ships with farrier"
            },
            {
              "label": "readiness: time",
              "text": "30s from the start, at most 1m"
            },
            {
              "label": "env",
              "text": "your PATH, HOME, LANG and TZ"
            }
          ],
          "workspace": "[SCENE]/workspace"
        }
      ]
    }
    --- stderr
    "#);
    let shown: Value = serde_json::from_str(&shown.stdout()).expect("JSON");
    let hash = shown["sidecars"][0]["hash"].as_str().unwrap_or_else(|| panic!("{shown:#}")).to_owned();
    programs.farrier(["up"]).output().assert_code(125);
    programs.farrier(["approve", &name, "--hash", &hash]).output().assert_code(0);
    programs.farrier(["up"]).output().assert_code(0);
    build("two");
    let again = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(again, @"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `theirs-[TOKEN]` comes from the workspace, and it has changed since you approved it: program file
     --> [SCENE]/workspace/.farrier/sidecars/theirs-[TOKEN].toml:1:1
      |
    1 | lifecycle = 'shared'
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve theirs-[TOKEN]`.
      = help: If you have already reviewed it: `farrier approve theirs-[TOKEN] --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    ");
    programs.scene.define_in(
        Layer::Workspace,
        &format!("{name}.toml"),
        text.replace("./server", "/bin/sleep"),
    );
    let outside = programs.farrier(["validate"]).output().assert_code(2);
    assert!(format!("{outside}").contains("outside-workspace"), "{outside}");
}

#[test]
fn supervisors_leave_the_session_and_the_group_of_whoever_started_them() {
    let programs = Programs::new();
    programs.plain("own", "program = ['sleep', '1000']");
    programs.farrier(["up"]).output().assert_code(0);
    let supervisor = programs.supervisor(&programs.only());
    let session = nix_session(supervisor);
    assert_eq!(session, supervisor.as_raw_nonzero().get());
}

fn nix_session(process: Pid) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
    fields[3].parse().expect("a number")
}

/// A signal's handler must not outlive what it writes to: it would be told so by a signal, again and again.
#[test]
fn signals_that_come_while_the_harness_ends_keep_no_launch_from_ending() {
    let programs = Programs::new();
    programs.plain("held", "program = ['sleep', '1000']");
    programs.farrier(["up"]).output().assert_code(0);
    for _ in 0..40 {
        let mut launch = programs.farrier(["launch", "--", "true"]).spawn();
        let until = Instant::now() + PATIENT;
        while !launch.has_ended() {
            assert!(Instant::now() < until, "it does not end: {}", launch.stderr());
            launch.signal(Signal::WINCH);
        }
        launch.wait().assert_code(0);
    }
}

#[test]
fn a_program_runs_within_the_kernels_limits_and_so_do_commands_beside_it() {
    let programs = Programs::new();
    let text = "program = ['sh', '-c', 'cat /proc/self/limits; echo whole; exec sleep 1000']\n\
                ulimits = { nofile = { soft = 100, hard = 200 }, core = 0 }\n[interface]\nkind = 'none'\n\
                [readiness]\nprobe = 'exec'\ncommand = ['sh', '-c', 'test $(ulimit -n) = 100']\n";
    programs.define("box", text);
    programs.farrier(["up"]).output().assert_code(0);
    programs.wait_for_log("box", "whole\n");
    let log = programs.log("box");
    for (limit, soft, hard) in [("Max open files", "100", "200"), ("Max core file size", "0", "0")] {
        let line = log.lines().find_map(|line| line.strip_prefix(limit)).unwrap_or_else(|| panic!("{log}"));
        let numbers: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(numbers, [soft, hard], "{limit}");
    }
    // Beyond what the kernel allows anybody.
    programs.plain("box", "program = ['sleep', '1000']\nulimits = { nofile = 1099511627776 }");
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert!(up.stderr().contains("nofile"), "{up}");
    assert!(up.stderr().contains("[engine-lacks]") || up.stderr().contains("[start-failed]"), "{up}");
}

#[test]
fn a_program_runs_as_the_user_that_it_names_and_only_root_may_name_another() {
    let programs = Programs::new();
    programs.plain("box", "program = ['sleep', '1000']");
    programs.farrier(["up"]).output().assert_code(0);
    let before = programs.only();
    programs.plain("box", "program = ['sleep', '1000']\nuser = 'nobody-of-that-name'");
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_eq!((&programs.only()["id"], &programs.only()["state"]), (&before["id"], &"running".into()));
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[invalid-value]: this host has no user or group `nobody-of-that-name`
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:3:8
      |
    3 | user = 'nobody-of-that-name'
      |        ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Name a user of this host, or a number.
    ");
    if !rustix::process::geteuid().is_root() {
        programs.plain("box", "program = ['sleep', '1000']\nuser = 'root'");
        let up = programs.farrier(["up"]).output().assert_code(125);
        assert!(
            up.stderr().contains("[engine-lacks]: only root can start a program as another user"),
            "{up}"
        );
        return;
    }
    let script = "id -u; id -g; cat /proc/self/status; touch mine && ls; echo to stdout > /dev/stdout; \
                  echo home $HOME; echo whole; exec sleep 1000";
    programs.plain("box", &format!("program = ['sh', '-c', '''{script}''']\nuser = '65534:65534'"));
    programs.farrier(["up"]).output().assert_code(0);
    programs.wait_for_log("box", "whole\n");
    let log = programs.log("box");
    assert!(log.starts_with("65534\n65534\n"), "{log}");
    for line in ["Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "mine", "to stdout"] {
        assert!(log.lines().any(|found| found == line), "{line}: {log}");
    }
    programs.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(programs.all(), Vec::<Value>::new());
}
