//! `farrier probe check`: a probe is run against what options name, without an engine.

use super::*;
use crate::support::{assert_output, snapshot_settings};

#[test]
fn check_runs_a_probe_and_says_what_it_did() {
    let scene = Scene::new();
    let address = server(b"");
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let outcome = farrier(&scene, &["probe", "check", "tcp", "--target", &address]).output().assert_code(0);
    snapshot_settings().bind(|| {
        insta::with_settings!({filters => vec![(port.as_str(), "[PORT]"), (r"\d+\.\d+ m?s", "[TIME]")]}, {
            insta::assert_snapshot!(outcome.to_string(), @r"
            exit code 0
            --- stdout
            poll 1 at [TIME], after [TIME]: ready
              dialled 127.0.0.1:[PORT]: connected after [TIME], wrote 0 bytes, read 0 bytes
            the probe dialled 127.0.0.1:[PORT] once
            --- stderr
            ");
        });
    });
    let closed = ClosedPort::new();
    let target = format!("127.0.0.1:{}", closed.number());
    let report = farrier(&scene, &["probe", "check", "tcp", "--target", &target, "--format", "json"]);
    let report = json(&report.output().assert_code(1));
    assert_eq!(report["ready"], false);
    let answers = report["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["verdict"], "pending");
    assert_eq!(answers[0]["dials"][0]["error"], "refused");
    assert_eq!(answers[0]["dials"][0]["dialled"], target);
}

#[test]
fn watching_ends_when_the_port_opens_and_when_the_time_is_over() {
    let scene = Scene::new();
    let closed = ClosedPort::new();
    let target = format!("127.0.0.1:{}", closed.number());
    let outcome =
        farrier(&scene, &["probe", "check", "tcp", "--watch", "--timeout", "2s", "--target", &target])
            .output()
            .assert_code(1);
    // On a busy machine it may be a single poll.
    let lines = outcome.stdout();
    assert_eq!(
        lines.matches("pending: connection refused").count(),
        1,
        "equal answers are told once: {lines}"
    );
    let watched = farrier(&scene, &["probe", "check", "tcp", "--watch", "--target", &target]).spawn();
    let listener = closed.open();
    // Whether a poll came before the port was open is the machine's business.
    let lines = watched.wait().assert_code(0).stdout();
    assert_eq!(lines.matches(": ready\n").count(), 1, "{lines}");
    drop(listener);
}

#[test]
fn health_logs_and_commands_are_answered_from_options() {
    let scene = Scene::new();
    let check =
        |words: &[&str]| farrier(&scene, &["probe", "check", "--target", "localhost:1"]).args(words).output();
    check(&["healthcheck", "--grant", "health=healthy"]).assert_code(0);
    check(&["healthcheck", "--grant", "health=starting"]).assert_code(1);
    let outcome = check(&["exec", "--grant", "exec=[\"pg_isready\"]"]).assert_code(1);
    assert_output!(outcome, @r#"
    exit code 1
    --- stdout
    poll 1 at [TIME], after [TIME]: failed: `pg_isready` cannot be run: commands need a container, and `farrier probe check` has none: try them with `farrier up`, or on this host with `--run-commands`
    the probe ran ["pg_isready"] once
    --- stderr
    "#);
    for (probe, hint) in [("healthcheck", "--grant health=healthy"), ("exec", "--grant 'exec=[")] {
        let told = check(&[probe]).assert_code(2).stderr();
        assert!(told.contains("[probe-not-granted]") && told.contains(hint), "{told}");
    }
    fs::write(scene.workspace().join("logs.wasm"), component(&with_imports(guest::LOGS, guest::READY, "")))
        .expect("a file");
    let told = check(&["./logs.wasm"]).assert_code(2).stderr();
    assert!(told.contains("--grant logs=FILE"), "{told}");
    let told = check(&["exec"]).assert_code(2).stderr();
    assert!(told.contains("Commands need a container, and `farrier probe check` has none"), "{told}");
    let told = check(&["tcp", "--grant", "dirs=certs"]).assert_code(2).stderr();
    assert!(told.contains("folders are granted by a definition"), "{told}");
}

#[test]
fn an_option_adds_to_the_target_and_a_denial_says_what_to_write() {
    let scene = Scene::new();
    let address = server(b"");
    let closed = ClosedPort::new();
    let other = format!("dial=cache:6379=127.0.0.1:{}", closed.number());
    let words = ["probe", "check", "tcp", "--target", &address, "--grant", &other];
    farrier(&scene, &words).output().assert_code(0);
    // Denied: it ends at once, though it says pending and is watched.
    fs::write(scene.workspace().join("hostile.wasm"), guest::built("hostile")).expect("a file");
    fs::write(scene.workspace().join("log"), "").expect("a file");
    let dial = |host: &str| {
        let settings = format!("{{\"try\":\"dial\",\"with\":[\"{host}\",9999]}}");
        let words = ["probe", "check", "./hostile.wasm", "--target", "127.0.0.1:7000", "--watch"];
        let grants = ["--grant", "logs=log", "--grant", "exec=[\"id\"]", "--settings", &settings];
        farrier(&scene, &words).args(grants).output().assert_code(1).stdout()
    };
    let told = dial("127.0.0.1");
    let line = r#"grants = { dial = ["self", "self:9999"], exec = [["id"]], logs = true }"#;
    assert!(
        told.contains("failed: connecting to 127.0.0.1:9999 is not granted") && told.contains(line),
        "{told}"
    );
    let told = dial("10.0.0.9");
    assert!(told.contains("failed: connecting to 10.0.0.9:9999 is not granted, and cannot be"), "{told}");
}

#[test]
fn watching_extends_as_a_launch_does() {
    let scene = Scene::new();
    fs::write(scene.workspace().join("mine.wasm"), component(&guest(guest::MORE_TIME))).expect("a file");
    let words = ["probe", "check", "./mine.wasm", "--target", "localhost:1", "--watch", "--timeout", "2s"];
    let told = |more: &[&str]| farrier(&scene, &words).args(more).output().assert_code(1).stdout();
    let shown = told(&["--max-timeout", "3s"]);
    assert!(
        shown.contains("asks for more time: 1m") && shown.contains("the deadline is now 3s after the start"),
        "{shown}"
    );
    assert!(told(&[]).contains("the deadline is now 4s after the start"), "twice the timeout by default");
}

/// A guest that asks for its second poll after 1.7 s, and is ready then.
const READY_AFTER_1700_MS: &str = "(i32.store8 (i32.const 0) (i32.lt_u (local.get $attempt) (i32.const 2))) \
                                   (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 23)) \
                                   (i32.store8 (i32.const 12) (i32.const 1)) (i32.store (i32.const 16) (i32.const 1700)) \
                                   (i32.const 0)";

#[test]
fn a_definition_gives_check_its_settings_grants_and_limits() {
    let scene = Scene::new();
    let define = |readiness: &str| {
        let text = format!(
            "lifecycle = \"shared\"\nimage = \"example\"\nenv = {{ PGUSER = \"me\" }}\n[interface]\nkind = \"port\"\n\
             port = 7000\n[readiness]\n{readiness}\n"
        );
        scene.define_in(Layer::User, "orders.toml", text)
    };
    let check = |file: &Path, words: &[&str]| {
        farrier(&scene, &["probe", "check"]).args(words).args(["--definition"]).arg(file).output()
    };
    let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let file = define("probe = \"http\"\nsettings = { path = \"/health\" }");
    let outcome = check(&file, &["--target", &address]).assert_code(0);
    assert!(outcome.stdout().contains(&format!("dialled orders:7000 ({address}): connected")), "{outcome}");
    // Its limits: a wait that it says is short, of a poll that it says is shorter.
    scene.define_in(Layer::User, "mine.wasm", component(&guest(guest::SPIN)));
    let file = define("probe = \"./mine.wasm\"\ntimeout = \"300ms\"\nlimits = { poll = \"120ms\" }");
    let outcome = check(&file, &["--target", "localhost:1", "--watch"]).assert_code(1);
    assert_output!(outcome, @"
    exit code 1
    --- stdout
    poll 1 at [TIME], after [TIME]: timed-out: no answer within [TIME]
    the probe used nothing of its grants
    --- stderr
    ");
    // Ready, but not as often in a row as it says: as in a launch, time is up first.
    scene.define_in(Layer::User, "mine.wasm", component(&guest(READY_AFTER_1700_MS)));
    let file = define("probe = \"./mine.wasm\"\nsuccesses = 2\ninterval = \"5s\"\ntimeout = \"6s\"");
    let outcome = check(&file, &["--target", "localhost:1", "--watch"]).assert_code(1);
    assert_output!(outcome, @"
    exit code 1
    --- stdout
    poll 1 at [TIME], after [TIME]: pending: a reason from the guest
      asks for the next poll after 1s [TIME]
    poll 2 at [TIME], after [TIME]: ready
    the probe used nothing of its grants
    --- stderr
    ");
    // As in a definition, a timeout that is too short for that is a mistake.
    let file = define("probe = \"tcp\"\nsuccesses = 5\ninterval = \"300ms\"");
    let outcome = check(&file, &["--target", &address, "--watch", "--timeout", "1200ms"]).assert_code(2);
    assert_output!(outcome, @"
    exit code 2
    --- stdout
    --- stderr
    error[usage]: `--timeout` is too short for 5 successes that are [TIME] apart
     |
     = help: Raise `--timeout`, or leave it out: the definition's timeout is long enough.
    ");
    check(&file, &["--target", &address, "--timeout", "1200ms"]).assert_code(0);
    // What it grants and cannot be known here is asked for, all at once.
    let logs = component(&with_imports(guest::LOGS, guest::READY, ""));
    scene.define_in(Layer::User, "mine.wasm", logs);
    let file = define("probe = \"./mine.wasm\"\ngrants = { logs = true, health = true }");
    let outcome = check(&file, &["--target", "localhost:1"]).assert_code(2);
    for option in ["`--grant logs=FILE`", "`--grant health=healthy`"] {
        assert!(outcome.stderr().contains(option), "{outcome}");
    }
    // An import that it does not grant is refused as `validate` refuses it.
    let file = define("probe = \"./mine.wasm\"");
    let outcome = check(&file, &["--target", "localhost:1"]).assert_code(2);
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[probe-not-granted]: the probe `./mine.wasm` imports farrier:probe/logs@0.1.0, which its definition does not grant
     --> [SCENE]/config/farrier/sidecars/orders.toml:8:9
      |
    8 | probe = "./mine.wasm"
      |         ^^^^^^^^^^^^^
      |
      = help: Grant it with `grants.logs = true` under [readiness].
    "#);
    let outcome = check(&file.with_file_name("absent.toml"), &["--target", "localhost:1"]).assert_code(2);
    assert_output!(outcome, @"
    exit code 2
    --- stdout
    --- stderr
    error[usage]: `--definition [SCENE]/config/farrier/sidecars/absent.toml` names no definition
     |
     = help: Name a file that ends in .toml or .yaml and declares a sidecar.
    ");
}

#[test]
fn any_number_of_problems_with_settings_is_a_few_lines() {
    let scene = Scene::new();
    // A list of a thousand problems without a word.
    let body = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
                (i32.store (i32.const 8) (i32.const 1000)) (return (i32.const 0))";
    let text = with_imports("", guest::READY, &guest::validating(body));
    fs::write(scene.workspace().join("mine.wasm"), component(&text)).expect("a file");
    let outcome = farrier(&scene, &["probe", "check", "./mine.wasm", "--target", "localhost:1"])
        .output()
        .assert_code(2);
    let told = outcome.stderr();
    assert!(told.contains("there are 980 more problems"), "{outcome}");
    assert_eq!(told.matches("[probe-settings]").count(), 21, "{outcome}");
}

#[test]
fn a_grant_that_a_component_cannot_use_is_told() {
    let scene = Scene::new();
    scene.define_in(Layer::User, "mine.wasm", ready());
    let text = definition("./mine.wasm").replace("[interface]", "env = { PGUSER = \"me\" }\n[interface]");
    scene.define_in(Layer::User, "db.toml", format!("{text}grants = {{ env = [\"PGUSER\"] }}\n"));
    let report = json(&farrier(&scene, &["validate", "--format", "json"]).output());
    let told = report["problems"].to_string();
    assert!(
        told.contains("cannot use the grant `env`: the probe was built for a target without variables"),
        "{told}"
    );
}

#[test]
fn mistakes_in_options_are_told_before_anything_runs() {
    let scene = Scene::new();
    for (words, expected) in [
        (&["--target", "localhost"][..], "`localhost` names no port"),
        (&["--target", "localhost:http"], "is not a whole number from 1 to 65535"),
        (&["--target", "localhost:1", "--settings", "{"], "`--settings` is not JSON"),
        (&["--target", "localhost:1", "--settings", "[]"], "`--settings` is not an object"),
        (&["--target", "localhost:1", "--grant", "everything"], "write dial=…"),
        (&["--target", "localhost:1", "--timeout", "soon"], "--timeout"),
    ] {
        let outcome = farrier(&scene, &["probe", "check", "tcp"]).args(words).output().assert_code(2);
        assert!(outcome.stderr().contains(expected), "{words:?}: {outcome}");
    }
}

#[test]
fn a_broken_probe_is_told_and_watching_it_ends() {
    let scene = Scene::new();
    for (body, words) in [(guest::TRAP, "crashed: it trapped"), (guest::SPIN, "no answer within 100ms")] {
        fs::write(scene.workspace().join("mine.wasm"), component(&guest(body))).expect("a file");
        let words_of = ["--target", "localhost:1", "--watch", "--timeout", "500ms", "--poll", "100ms"];
        let outcome =
            farrier(&scene, &["probe", "check", "./mine.wasm"]).args(words_of).output().assert_code(1);
        assert!(outcome.stdout().contains(words), "{outcome}");
    }
}
