//! Projects that `farrier probe new` makes: as generated they pass their own test, build, and tell a server that
//! answers from one that does not. Needs cargo and its registry; the component needs a WebAssembly target, of the
//! usual compiler or of the one that `GUEST_RUSTC` names, and Python its package index.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::support::engine::build_directory;
use crate::support::skipping::{REQUIRE_PYPI, skip_unless_required};
use crate::support::toolchains::{PATIENCE, TARGET, guest_compiler, own};
use crate::support::{Layer, PATIENT, Run, Scene, Signal, fixture_program, free_port, wait_until};

/// A server that greets each connection, as long as the test runs.
fn server(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let mut heard = [0; 64];
            let _ = connection.read(&mut heard).and_then(|_| connection.write_all(greeting));
        }
    });
    address
}

/// Tries the component on servers that answer as expected, otherwise, and with settings that it does not have.
fn try_it(scene: &Scene, component: &Path) {
    let good = r#"{"send":"hello\r\n","expect":"welcome"}"#;
    let check = |settings: &str, greeting| {
        let target = server(greeting);
        let words = ["--target", &target, "--settings", settings];
        scene.farrier(["probe", "check"]).arg(component).args(words).timeout(PATIENCE).output()
    };
    let outcome = check(good, b"220 welcome\r\n").assert_code(0);
    assert!(outcome.stdout().contains("wrote 7 bytes, read 13 bytes"), "{outcome}");
    let outcome = check(good, b"503 starting\r\n").assert_code(1);
    assert!(outcome.stdout().contains("pending: the answer"), "{outcome}");
    let outcome = check(r#"{"sned":"x"}"#, b"").assert_code(2);
    assert!(outcome.stderr().contains("[probe-settings]") && outcome.stderr().contains("sned"), "{outcome}");
}

#[test]
fn a_project_in_rust_passes_its_test_builds_and_tells_ready_from_not() {
    let Some(compiler) = guest_compiler() else { return };
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let tested =
        own(Run::program(&scene, "cargo").args(["test", "--quiet"]), &project).output().assert_code(0);
    assert!(tested.stdout().contains("2 passed"), "{tested}");
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(0);
    let component = project.join("orders-ready.wasm");
    let size = std::fs::metadata(&component).expect("the component").len();
    assert!(size < 150_000, "{size} bytes");
    let told = scene.farrier(["probe", "inspect"]).arg(&component).output().assert_code(0).stdout();
    for words in ["name         orders-ready\n", "version      0.1.0\n", "send (a string): The text to send."]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(built.stdout().contains("grants = { dial = [\"self\"] }"), "{built}");
    try_it(&scene, &component);
    let played = scene.farrier(["probe", "test"]).arg(&component).output().assert_code(0);
    assert!(played.stdout().contains("1 scenario, 0 failed"), "{played}");
}

/// A check that says what it got of the interfaces that need no WASI.
const WITHOUT_WASI: &str = r#"
        use farrier_probe::{clock, env, random};
        let (begun, user) = (clock::now(), env::get("PGUSER"));
        let (bytes, many) = (random::bytes(16).unwrap(), random::bytes(1 << 20));
        let passed = clock::now() >= begun;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if context.attempt == 1 {
            return Verdict::pending(&*format!("{user:?} {hex} {passed} {}", many.is_err()));
        }
        if env::get("PGPASSWORD").is_err() {
            return Verdict::pending("no password");
        }"#;

#[test]
fn a_probe_without_wasi_gets_random_numbers_time_and_granted_variables() {
    let Some(compiler) = guest_compiler() else { return };
    let scene = Scene::new();
    scene.farrier(["probe", "new", "plain-ready"]).output().assert_code(0);
    let project = scene.workspace().join("plain-ready");
    write_check(&project, WITHOUT_WASI);
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(0);
    assert!(built.stdout().contains("imports dial, env, random, clock, log"), "{built}");
    assert!(built.stdout().contains("env = [\"NAME\"]"), "{built}");
    let component = project.join("plain-ready.wasm");
    let check = || {
        let words = ["--target", "localhost:1", "--grant", "env=PGUSER=me"];
        scene.farrier(["probe", "check"]).arg(&component).args(words).timeout(PATIENCE).output()
    };
    let [first, second] = [check(), check()].map(|outcome| {
        let told = outcome.assert_code(1).stdout();
        assert!(told.contains("pending: Ok(\"me\") ") && told.contains(" true true"), "{told}");
        told.split(' ').find(|word| word.len() == 32).map(str::to_owned)
    });
    assert!(first.is_some() && first != second, "{first:?} {second:?}");
    let outcome =
        scene.farrier(["probe", "check"]).arg(&component).args(["--target", "localhost:1"]).output();
    assert!(outcome.assert_code(2).stderr().contains("`--grant env=NAME=VALUE`"));
    // In a scenario, they are the same each time, and what is not granted ends the wait.
    let scenario = scene.workspace().join("plain.toml");
    let play = |grants: &str, polls: &str| {
        let head = format!(
            "port = 1\nenv = {{ PGUSER = \"me\", X = \"x\" }}\nseed = 7\n[readiness]\ngrants = {{ dial = [\"self\"], env = [{grants}] }}\n"
        );
        std::fs::write(&scenario, format!("{head}{polls}")).expect("a scenario");
        scene.farrier(["probe", "test"]).arg(&component).arg(&scenario).timeout(PATIENCE).output()
    };
    let poll = |expected: &str| format!("[[poll]]\n{expected}\n");
    let told = play("\"PGUSER\"", &poll("expect = \"pending\"\nreason = \"x\"")).assert_code(1).stderr();
    let found =
        told.split("answered `pending: ").nth(1).and_then(|rest| rest.split('`').next()).expect("an answer");
    let same = format!("expect = \"pending\"\nreason = {}", serde_json::Value::from(found));
    play("\"PGUSER\"", &poll(&same)).assert_code(0);
    let denied = format!("{}{}", poll(&same), poll("expect = \"failed\""));
    play("\"PGUSER\"", &denied).assert_code(0);
}

/// Counts its polls in the state, and never becomes ready.
const COUNTING: &str = r#"
        use farrier_probe::state;
        let poll = state::get().len() + 1;
        if state::set(&vec![b'x'; poll]).is_ok() {
            return Verdict::pending(&*format!("poll {poll} of this run"));
        }"#;

#[test]
fn state_is_kept_between_the_polls_of_a_run_and_gone_with_it() {
    let Some(compiler) = guest_compiler() else { return };
    let scene = Scene::new().isolated();
    scene.farrier(["probe", "new", "counting"]).output().assert_code(0);
    let project = scene.workspace().join("counting");
    write_check(&project, COUNTING);
    own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(0);
    let component = scene.layer(Layer::User).join("counting.wasm");
    std::fs::rename(project.join("counting.wasm"), component).expect("the component");
    let (end, port) = (scene.path("end"), free_port());
    let program = [
        &fixture_program().display().to_string(),
        "serve",
        "--port",
        &port.to_string(),
        "--exit-when",
        &end.display().to_string(),
    ];
    scene.define(
        "db",
        &format!(
            "lifecycle = 'session'\nprogram = {program:?}\nrestart = 'always'\n[interface]\nkind = 'port'\nport = {port}\n\
             [readiness]\nprobe = './counting.wasm'\ngrants = {{ dial = ['self'] }}\nsettings = {{ send = '', expect = '' }}\n\
             timeout = '5m'\n"
        ),
    );
    let launch = scene.launch_with(["--no-workspace"], ["true"]).env("DOCKER_HOST", "unix:///nowhere");
    let running = launch.spawn();
    let answered = |answer: &str| {
        let told = scene.told();
        told.of("answered").iter().filter(|event| event["answer"].to_string().contains(answer)).count()
    };
    wait_until("the state grows", PATIENT, || answered("poll 3 of this run") == 1);
    assert_eq!(answered("poll 1 of this run"), 1);
    std::fs::write(&end, "").expect("a file");
    // The program ends as soon as it sees the file, which it removes.
    wait_until("a run begins without state", PATIENT, || answered("poll 1 of this run") >= 2);
    running.signal(Signal::TERM);
    running.wait();
}

/// Writes a project's probe, with this as what its check does first.
fn write_check(project: &Path, body: &str) {
    let source = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the source");
    let begins = "let Some(port) = context.port else {";
    assert!(text.contains(begins), "{text}");
    std::fs::write(&source, text.replace(begins, &format!("{body}\n        {begins}"))).expect("the source");
}

#[test]
fn a_panic_reaches_the_user_with_its_text_file_and_line() {
    let Some(compiler) = guest_compiler() else { return };
    let scene = Scene::new();
    for (name, body, warning, words) in [
        (
            "gone",
            "assert!(context.attempt > 7, \"the orders are {}\", \"gone\");",
            None,
            vec!["it trapped", "panicked at src/lib.rs:", "the orders are gone"],
        ),
        (
            "clock",
            "assert!(std::time::SystemTime::now() > std::time::UNIX_EPOCH);",
            Some("a clock: the call panics"),
            vec!["time not implemented on this platform", "build the probe for wasm32-wasip2"],
        ),
    ] {
        scene.farrier(["probe", "new", name]).output().assert_code(0);
        let project = scene.workspace().join(name);
        write_check(&project, body);
        let built = own(scene.farrier(["probe", "build"]), &project).env("RUSTC", &compiler).output();
        let told = built.assert_code(0).stderr();
        assert_eq!(told.contains("does not have: "), warning.is_some(), "{name}: {told}");
        assert!(warning.is_none_or(|warning| told.contains(warning)), "{name}: {told}");
        let component = project.join(name).with_extension("wasm");
        let check = scene.farrier(["probe", "check", "--target", "localhost:1"]).arg(&component);
        let shown = check.output().assert_code(1).stdout();
        for words in words {
            assert!(shown.contains(words), "{name}: {shown}");
        }
    }
}

/// The texts of a component that contain one of these words.
fn texts_with(component: &[u8], words: &[&str]) -> Vec<String> {
    let texts = component.split(|byte| !byte.is_ascii_graphic());
    let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
    texts.filter(|text| words.iter().any(|word| text.contains(word))).collect()
}

#[test]
fn the_same_sources_make_the_same_component_in_any_folder_for_any_user() {
    let Some(compiler) = guest_compiler() else { return };
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let first = scene.workspace().join("orders-ready");
    let second = scene.path("elsewhere/in-another-folder");
    let script = "cargo generate-lockfile --quiet && mkdir -p \"$0\" && cp -R . \"$0\"";
    let copied = own(Run::program(&scene, "sh").args(["-euc", script]).arg(&second), &first);
    copied.output().assert_code(0);
    // Another user, as far as a compiler sees: the packages come from another folder, too.
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let folder =
        |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| home.join(usual), PathBuf::from);
    let (cargo_home, other_home) = (scene.path("other/cargo"), scene.path("other/home"));
    std::fs::create_dir_all(&cargo_home).expect("a folder");
    std::fs::create_dir_all(&other_home).expect("a folder");
    let registry = folder("CARGO_HOME", ".cargo").join("registry");
    std::os::unix::fs::symlink(registry, cargo_home.join("registry")).expect("a link");
    // Cargo takes empty flags for flags, before those of a configuration.
    let built = own(scene.farrier(["probe", "build"]), &first).env("RUSTC", &compiler).env("RUSTFLAGS", "");
    built.output().assert_code(0);
    let built = own(scene.farrier(["probe", "build"]), &second)
        .env("RUSTC", &compiler)
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env("RUSTUP_HOME", folder("RUSTUP_HOME", ".rustup"))
        .env("HOME", other_home)
        .env("CARGO_HOME", cargo_home)
        .env("CARGO_TARGET_DIR", build_directory().join("projects-of-another-user"));
    built.output().assert_code(0);
    let read = |project: &Path| std::fs::read(project.join("orders-ready.wasm")).expect("the component");
    let (first, second) = (read(&first), read(&second));
    for component in [&first, &second] {
        let paths = texts_with(component, &["/home/", "/root/"]);
        assert!(paths.is_empty(), "paths of this machine are in the component: {paths:#?}");
    }
    assert!(first == second, "{} and {} bytes, which differ", first.len(), second.len());
}

#[test]
fn a_compiler_that_answers_nonsense_is_told_as_one_without_the_target() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let compiler = scene.path("rustc");
    // A folder that exists, whatever it is asked.
    std::fs::write(&compiler, "#!/bin/sh\necho /\n").expect("a script");
    std::fs::set_permissions(&compiler, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(2);
    assert!(built.stderr().contains(&format!("rustup target add {TARGET}")), "{built}");
}

#[test]
fn without_the_target_the_command_that_adds_it_is_named() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let compiler = scene.path("rustc");
    // The compiler of this machine, but for the one answer: cargo asks it other things first, if nothing is cached.
    let script = "#!/bin/sh\nfor word; do [ \"$word\" != target-libdir ] || { echo /nonexistent; exit; }; done\n\
                  exec rustc \"$@\"\n";
    std::fs::write(&compiler, script).expect("a script");
    std::fs::set_permissions(&compiler, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    let built =
        own(scene.farrier(["probe", "build"]), &project).env("RUSTC", compiler).output().assert_code(2);
    assert!(built.stderr().contains(&format!("rustup target add {TARGET}")), "{built}");
}

#[test]
fn a_project_in_python_passes_its_test_builds_and_tells_ready_from_not() {
    let scene = Scene::new();
    scene.farrier(["probe", "new", "orders-ready", "--lang", "python"]).output().assert_code(0);
    let project = scene.workspace().join("orders-ready");
    let readme = std::fs::read_to_string(project.join("README.md")).expect("the README");
    // Word for word what a reader is told to type, up to the commands of farrier itself.
    let commands: Vec<&str> = readme
        .split("```")
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("farrier "))
        .collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let describe =
        readme.lines().find_map(|line| line.strip_prefix("farrier probe build ")).expect("a command");
    for command in &commands {
        let outcome = own(Run::program(&scene, "sh").args(["-euc", command]), &project).output();
        if outcome.code() != Some(0) && command.contains("pip install") {
            skip_unless_required(REQUIRE_PYPI, &format!("a probe in Python cannot be made here: {outcome}"));
            return;
        }
        outcome.assert_code(0);
    }
    let describe = || {
        let words = ["probe", "build"].into_iter().chain(describe.split(' '));
        own(scene.farrier(words), &project).output().assert_code(0);
    };
    describe();
    let component: PathBuf = project.join("orders-ready.wasm");
    try_it(&scene, &component);
    let told = scene.farrier(["probe", "inspect"]).arg(&component).output().assert_code(0).stdout();
    assert!(
        told.contains("version      0.1.0")
            && told.contains("(a string, by default \"\"): The text to send."),
        "{told}"
    );
    let played = scene.farrier(["probe", "test"]).arg(&component).timeout(PATIENCE).output().assert_code(0);
    assert!(played.stdout().contains("passed, 12 polls, 10m 1s 200ms by its clock"), "{played}");
    // An exception that nobody catches, in the component as the README has it built.
    let source = project.join("app.py");
    let text = std::fs::read_to_string(&source).expect("the source");
    let begins = "        settings = DEFAULTS | ";
    assert!(text.contains(begins), "{text}");
    let raising = "        raise RuntimeError(\"the orders are gone\")\n";
    std::fs::write(&source, text.replace(begins, &format!("{raising}{begins}"))).expect("the source");
    let build = commands.last().expect("the command that builds it");
    own(Run::program(&scene, "sh").args(["-euc", build]), &project).output().assert_code(0);
    let check = scene.farrier(["probe", "check", "--target", "localhost:1"]).arg(&component);
    let shown = check.timeout(PATIENCE).output().assert_code(1).stdout();
    for words in ["crashed: ", "RuntimeError: the orders are gone", "app.py"] {
        assert!(shown.contains(words), "{shown}");
    }
}
