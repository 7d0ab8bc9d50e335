//! Order and jobs of programs, without any engine beside farrier itself.

use super::setup::Programs;
use crate::support::{PATIENT, assert_output, fixture_program, free_port, wait_until};

/// A server that needs a job that needs another server.
fn application(programs: &Programs, level: &str, code: u8) {
    let (port, api) = (free_port(), free_port());
    let program = fixture_program().display().to_string();
    programs.serving_with(
        "db",
        port,
        &format!("'--port', '{port}', '--reply', 'data'"),
        &format!("env = {{ LEVEL = '{level}' }}"),
    );
    let script = format!("{program} ask 127.0.0.1 {port}; exit {code}");
    programs.define(
        "migrate",
        &format!(
            "program = ['/bin/sh', '-c', '{script}']\njob = 'once'\nafter = ['{}']\n[interface]\nkind = 'none'\n",
            programs.scene.name("db")
        ),
    );
    let after =
        format!("after = [{{ sidecar = '{}', until = 'succeeded' }}]", programs.scene.name("migrate"));
    programs.serving_with("web", api, &format!("'--port', '{api}', '--reply', 'pong'"), &after);
}

fn plan(programs: &Programs) -> Vec<String> {
    let plan = programs.farrier(["plan"]).output().assert_code(0).stdout();
    let token = format!("-{}", programs.scene.token());
    let lines = plan.lines().filter(|line| !line.starts_with(' ') && line.contains(", because "));
    lines.map(|line| line.replace(&token, "")).collect()
}

#[test]
fn a_program_starts_after_a_job_after_a_program() {
    let programs = Programs::new();
    application(&programs, "1", 0);
    programs.farrier(["up"]).output().assert_code(0);
    assert_eq!(programs.log("migrate"), "data\n");
    let untouched = [
        "db: reuse, because it is running and matches its definition",
        "migrate: reuse, because it succeeded and matches its definition",
        "web: reuse, because it is running and matches its definition",
    ];
    assert_eq!(plan(&programs), untouched);
    let ids = || programs.all().iter().map(|sidecar| sidecar["id"].clone()).collect::<Vec<_>>();
    let before = ids();
    programs.farrier(["up"]).output().assert_code(0);
    assert_eq!(ids(), before, "nothing runs again");

    let db = format!("{}.toml", programs.scene.name("db"));
    let file = programs.scene.layer(crate::support::Layer::User).join(db);
    let text = std::fs::read_to_string(&file).expect("a definition");
    std::fs::write(&file, text.replace("LEVEL = '1'", "LEVEL = '2'")).expect("a definition");
    assert_eq!(
        plan(&programs)[..2],
        [
            "db: recreate, because env.LEVEL changed",
            "migrate: recreate, because db was recreated since it ran",
        ]
    );
    programs.farrier(["up"]).output().assert_code(0);
    assert_eq!(plan(&programs), untouched);
}

#[test]
fn a_job_that_fails_ends_the_launch_with_its_output() {
    let programs = Programs::new();
    application(&programs, "1", 4);
    let failed = programs.farrier(["up"]).output().assert_code(125);
    let told = failed.stderr();
    let never = format!("never started, because they come after it: {}", programs.scene.name("web"));
    assert!(told.contains("error[job-failed]") && told.contains("it exited with code 4"), "{failed}");
    assert!(told.contains("\n    data\n") && told.contains(&never), "{failed}");
    assert_eq!(programs.all().len(), 2, "what comes after it was never made");
}

#[test]
fn a_circle_is_an_invalid_definition() {
    let programs = Programs::new();
    let (a, b) = (programs.scene.name("a"), programs.scene.name("b"));
    for (name, after) in [("a", &b), ("b", &a)] {
        let text = format!(
            "program = ['sleep', '9']\nafter = ['{after}']\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n"
        );
        programs.define(name, &text);
    }
    for command in ["validate", "up", "plan"] {
        let invalid = programs.farrier([command]).output().assert_code(2);
        assert!(invalid.to_string().contains("error[after-circle]"), "{invalid}");
    }
    assert!(programs.all().is_empty());
}

#[test]
fn a_programs_end_stops_the_harness_or_starts_it_again_as_its_definition_says() {
    let programs = Programs::new();
    let (scene, port) = (&programs.scene, free_port());
    let end = scene.path("end");
    let define = |on_exit: &str| {
        let arguments = format!(
            "'--port', '{port}', '--reply', 'pong', '--exit-when', '{}', '--code', '3'",
            end.display()
        );
        programs.serving_with("api", port, &arguments, &format!("on_exit = '{on_exit}'"));
    };
    let harness = |words: &[&str]| {
        let events = scene.path("events.jsonl");
        let launch =
            programs.farrier(["launch", "--events"]).arg(events).arg("--").args(words).open_stdin().spawn();
        wait_until("the harness runs", PATIENT, || scene.has_event("harness-starting"));
        std::fs::write(&end, "").expect("a file");
        launch
    };
    let program = fixture_program().display().to_string();
    define("stop");
    let stopped = harness(&[&program, "wait"]).wait().assert_code(125);
    assert_output!(stopped, @r#"
    exit code 125
    --- stdout
    --- stderr
    farrier: api-[TOKEN]: create, because it does not exist
    farrier: api-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: api-[TOKEN] ended while the harness ran: its program ended with exit code 3; last log line: ending as it was told
    error[sidecar-ended]: farrier ended the harness, because api-[TOKEN] ended while the harness ran: its program ended with exit code 3; last log line: ending as it was told
     |
     = help: Read the whole log with `farrier logs api-[TOKEN]`.
     = help: If the harness can go on without it, write `on_exit = "warn"` or `on_exit = "restart"`.
    "#);
    assert!(!stopped.stderr().contains("killed it"), "it ended by SIGTERM: {stopped}");

    scene.take_events();
    define("restart");
    let launch = harness(&[&program, "cat"]);
    let ended =
        || scene.events().into_iter().filter(|event| event["event"] == "sidecar-ended").collect::<Vec<_>>();
    wait_until("its end is told", PATIENT, || !ended().is_empty());
    wait_until("it runs again", PATIENT, || ended().iter().any(|event| event["runs_again"] == true));
    let asked = programs
        .farrier(["launch", "--", &program, "ask-env", &scene.variable("api")])
        .output()
        .assert_code(0);
    assert_eq!(asked.stdout(), "pong\n", "{asked}");
    let outcome = launch.wait().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    --- stderr
    farrier: api-[TOKEN]: recreate, because it is not running: exited (exit code 3)
    farrier: api-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: api-[TOKEN] ended while the harness ran: its program ended with exit code 3; it is running again; last log line: ending as it was told
    ");
}
