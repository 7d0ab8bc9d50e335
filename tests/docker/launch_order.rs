//! Order, jobs, restarts and what a sidecar's end means, on a real engine.

use std::path::Path;

use serde_json::Value;

use crate::support::docker::run;
use crate::support::engine::is_running;
use crate::support::launching::{identity, idler, server};
use crate::support::servers::postgres_image;
use crate::support::{PATIENT, Scene, assert_output, docker, fixture_image, fixture_program, wait_until};

/// As the official image does it, but for the wait before the server begins.
const DATABASE: &str = "cd /tmp; d=/tmp/data; initdb --pgdata=$d --username=postgres --auth=trust --no-locale --encoding=UTF8 \
                        --no-sync >/dev/null && echo 'host all all all trust' >>$d/pg_hba.conf && \
                        exec postgres -D $d -c listen_addresses='*'";

/// A web application that needs a migration that needs a database, all of `PostgreSQL`'s image.
struct Application {
    scene: Scene,
    image: String,
}

impl Application {
    fn new() -> Option<Self> {
        let scene = Scene::with_docker()?;
        let application = Self { image: postgres_image()?, scene };
        application.database("1");
        application.migration("create table users (name text); insert into users values ('ada');");
        let asked = "until [ \"$(psql -h $DATABASE -U postgres -Atc 'select name from users')\" = ada ]; do exit 9; done; exec sleep 1000";
        let scene = &application.scene;
        let after = format!(
            "init = true\nafter = [{{ sidecar = \"{}\", until = \"succeeded\" }}]\nenv = {{ DATABASE = \"{}\" }}\n\
             entrypoint = [\"/bin/sh\", \"-c\", '''{asked}''']",
            scene.name("migrate"),
            scene.name("db")
        );
        scene.define("web", &idler(&application.image, &after));
        Some(application)
    }

    fn database(&self, level: &str) {
        let text = format!(
            "lifecycle = \"shared\"\nimage = \"{}\"\nenv = {{ LEVEL = \"{level}\" }}\nentrypoint = [\"/bin/sh\", \"-c\", \"\"\"{DATABASE}\"\"\"]\n\
             [interface]\nkind = \"port\"\nport = 5432\n[readiness]\nprobe = \"postgres\"\ntimeout = \"120s\"\n",
            self.image
        );
        self.scene.define("db", &text);
    }

    fn migration(&self, statements: &str) {
        let command = format!("psql -h $DATABASE -U postgres -v ON_ERROR_STOP=1 -c \"{statements}\"");
        let text = format!(
            "lifecycle = \"shared\"\nimage = \"{}\"\njob = \"once\"\nafter = [\"{db}\"]\nenv = {{ DATABASE = \"{db}\" }}\n\
             entrypoint = [\"/bin/sh\", \"-c\", '''{command}''']\n[interface]\nkind = \"none\"\n[readiness]\ntimeout = \"60s\"\n",
            self.image,
            db = self.scene.name("db"),
        );
        self.scene.define("migrate", &text);
    }

    /// What was decided, by the sidecars in the order of their names: the database, the migration, the application.
    fn decisions(&self) -> Vec<String> {
        self.scene.take_decisions()
    }

    fn users(&self) -> String {
        let container = self.scene.container("db");
        docker([
            "exec",
            &container,
            "psql",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-Atc",
            "select name from users",
        ])
    }
}

#[test]
fn an_application_starts_after_its_migration_after_its_database() {
    let Some(application) = Application::new() else { return };
    let scene = &application.scene;
    let up = scene.up().arg("--timings").output().assert_code(0);
    assert_eq!(application.decisions(), ["create: it does not exist"; 3]);
    assert_eq!(application.users(), "ada");
    assert!(up.stderr().contains("the critical path, one after the other"), "{up}");
    assert!(is_running(&scene.container("web")) && !is_running(&scene.container("migrate")));
    let ps = scene.farrier(["ps", "--format", "json"]).output().assert_code(0);
    let ps: Value = serde_json::from_str(&ps.stdout()).expect("JSON");
    let job = ps["sidecars"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|sidecar| sidecar["name"] == scene.name("migrate"));
    assert_eq!(job.map(|job| (&job["is_job"], &job["match"])), Some((&true.into(), &"fresh".into())));

    // Untouched: nothing runs again.
    let before = ["db", "migrate", "web"].map(|stem| identity(&scene.container(stem)));
    scene.up().output().assert_code(0);
    assert_eq!(
        application.decisions(),
        [
            "reuse: it is running and matches its definition",
            "reuse: it succeeded and matches its definition",
            "reuse: it is running and matches its definition"
        ]
    );
    assert_eq!(before, ["db", "migrate", "web"].map(|stem| identity(&scene.container(stem))));

    // Another database: the migration runs again, and finds it empty.
    application.database("2");
    let plan = scene.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(
        plan.contains(&format!("recreate, because {} was recreated since it ran", scene.name("db"))),
        "{plan}"
    );
    assert!(plan.contains(&format!("\n  after {} (ready)\n", scene.name("db"))), "{plan}");
    scene.up().output().assert_code(0);
    assert_eq!(
        application.decisions()[..2],
        [
            "recreate: env.LEVEL changed".to_owned(),
            format!("recreate: {} was recreated since it ran", scene.name("db")),
        ]
    );
    assert_eq!(application.users(), "ada");
}

#[test]
fn a_migration_that_fails_ends_the_launch_with_its_output() {
    let Some(application) = Application::new() else { return };
    let scene = &application.scene;
    application.migration("insert into nowhere values (1)");
    let program = fixture_program().display().to_string();
    let failed = scene.launch([program.as_str(), "print", "never"]).output().assert_code(125);
    let told = failed.stderr();
    assert!(
        told.contains("error[job-failed]") && told.contains("relation \"nowhere\" does not exist"),
        "{failed}"
    );
    let never = format!("never started, because they come after it: {}", scene.name("web"));
    assert!(told.contains(&never) && failed.stdout().is_empty(), "{failed}");
    assert!(is_running(&scene.container("db")));
    application.migration("create table users (name text); insert into users values ('ada');");
    scene.launch([program.as_str(), "print", "ran"]).output().assert_code(0);
}

#[test]
fn one_that_crashes_twice_and_is_restarted_by_the_engine_is_waited_for() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = postgres_image() else { return };
    let script = "echo x >>/tmp/runs; [ $(wc -l </tmp/runs) -ge 3 ] || exit 7; echo up; exec sleep 1000";
    let definition = |restart: &str| {
        format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\nrestart = \"{restart}\"\ninit = true\nentrypoint = [\"/bin/sh\", \"-c\", '''{script}''']\n\
             [interface]\nkind = \"none\"\n[readiness]\nprobe = \"log\"\nsettings = {{ text = \"up\" }}\ntimeout = \"60s\"\n"
        )
    };
    scene.define("flaky", &definition("on-failure:3"));
    scene.up().output().assert_code(0);
    let restarts = docker(["inspect", "--format", "{{.RestartCount}}", &scene.container("flaky")]);
    assert_eq!(restarts, "2");
    scene.define("flaky", &definition("on-failure:1"));
    let failed = scene.up().output().assert_code(125);
    assert!(failed.stderr().contains("error[sidecar-exited]"), "{failed}");
}

/// Lets `db` end, so soon that the command that asks for it may be killed with it.
fn end(scene: &Scene) {
    drop(run(["exec", &scene.container("db"), "/fixture", "touch", "/tmp/end"]));
}

#[test]
fn a_sidecars_end_stops_the_harness_or_starts_it_again_as_its_definition_says() {
    let Some(scene) = Scene::with_docker() else { return };
    let mortal = |on_exit: &str| {
        let command =
            "command = [\"serve\", \"--port\", \"7000\", \"--exit-when\", \"/tmp/end\", \"--code\", \"3\"]";
        server(&fixture_image(), &format!("{command}\non_exit = \"{on_exit}\""))
    };
    let program = fixture_program().display().to_string();
    let begun = || {
        let launch = scene.launch([program.as_str(), "cat"]).open_stdin().spawn();
        wait_until("the harness runs", PATIENT, || scene.has_event("harness-starting"));
        let before = identity(&scene.container("db"));
        end(&scene);
        (launch, before)
    };
    scene.define("db", &mortal("stop"));
    let (mut launch, _) = begun();
    wait_until("the harness is ended", PATIENT, || launch.has_ended());
    let stopped = launch.wait().assert_code(125);
    let told = stopped.stderr();
    assert!(told.contains("error[sidecar-ended]") && told.contains("ending as it was told"), "{stopped}");
    let ended = scene.events().into_iter().find(|event| event["event"] == "harness-ended");
    assert_eq!(ended.map(|ended| ended["exit_code"].clone()), Some(143.into()));

    // A harness that ignores the signal is killed, with its container.
    scene.take_events();
    let (label, image) = (scene.label(), fixture_image());
    let container = ["docker", "run", "--rm", "--label", &label, &image, "sleep", "3600000"];
    let trapped = scene.path("trapped").display().to_string();
    let trapped = trapped.as_str();
    let on_host = ["sh", "-c", "trap '' TERM; touch \"$0\"; while :; do sleep 1; done", trapped];
    for harness in [&container[..], &on_host[..]] {
        let launch = scene.launch(harness).spawn();
        wait_until("the harness runs", PATIENT, || {
            let is_container = harness == container;
            let running = || {
                docker([
                    "ps",
                    "--quiet",
                    "--filter",
                    &format!("label={label}"),
                    "--filter",
                    &format!("ancestor={image}"),
                ])
            };
            let is_deaf = if is_container { !running().is_empty() } else { Path::new(trapped).exists() };
            scene.has_event("harness-starting") && is_deaf
        });
        end(&scene);
        let killed = launch.wait().assert_code(125);
        assert!(
            killed.stderr().contains("the harness had not ended 10s after SIGTERM, so farrier killed it"),
            "{killed}"
        );
        scene.take_events();
    }
    let left = docker([
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("label={label}"),
        "--filter",
        "label=farrier.harness",
    ]);
    assert_eq!(left, "", "its container is gone, too");

    scene.define("db", &mortal("restart"));
    scene.take_decisions();
    let (launch, before) = begun();
    wait_until("it is told that it runs again", PATIENT, || {
        scene.events().iter().any(|event| event["event"] == "sidecar-ended" && event["runs_again"] == true)
    });
    assert!(is_running(&scene.container("db")) && identity(&scene.container("db")) != before);
    let outcome = launch.wait().assert_code(0);
    assert_output!(outcome, @"
    exit code 0
    --- stdout
    --- stderr
    farrier: db-[TOKEN]: recreate, because it is not running: exited (exit code 3)
    farrier: db-[TOKEN]: ready after [TIME] ([COUNT] polls)
    farrier: db-[TOKEN] ended while the harness ran: its program ended with exit code 3; it is running again; last log line: ending as it was told
    ");
}
