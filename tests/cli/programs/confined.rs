//! Programs that are confined: what they are for works, and nothing else of this host is open to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::setup::Programs;
use crate::support::skipping::say_skipped;
use crate::support::{Layer, Outcome, PATIENT, Run, fixture_program, free_port, wait_until};

/// An interpreter that every confined program may use.
const PYTHON: &str = "/usr/bin/python3";
const ATTACKS: &str = include_str!("attacks.py");
/// An ordinary user.
const SOMEBODY: u32 = 54_323;
/// What does not work unconfined either: there is nothing to inherit.
const NEVER: &str = "use an inherited descriptor";
/// What an ordinary user may not do, or what systems may forbid all users.
const PERHAPS: [&str; 10] = [
    "add an attribute",
    "change the root",
    "debug another process",
    "make a device",
    "make a namespace",
    "mount",
    "read it through a hard link",
    "read the memory of another process",
    "take a descriptor of another process",
    "use io_uring",
];

/// Runs farrier as a user.
fn farrier_as(programs: &Programs, user: Option<u32>, arguments: &[&str]) -> Outcome {
    let Some(user) = user else { return programs.farrier(arguments).output() };
    Run::program(&programs.scene, "setpriv")
        .args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_farrier"))
        .args(arguments)
        .env("DOCKER_HOST", "unix:///nowhere.sock")
        .output()
}

/// Whether programs can be confined here; says so if not.
fn can_confine(programs: &Programs) -> bool {
    let told = programs.farrier(["doctor", "--engine", "native"]).output().stdout();
    let found = told.contains("programs can be confined");
    if !found {
        say_skipped(&format!("confined programs, which this host cannot have: {told}"));
    }
    found
}

struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What came of each attempt.
fn attempts(programs: &Programs, user: Option<u32>, confine: &str) -> BTreeMap<String, String> {
    let scene = &programs.scene;
    let folder = scene.path("victim");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("readable")).expect("folders");
    for file in ["secret", "other"] {
        std::fs::write(folder.join(file), "secret").expect("written");
    }
    let attacks = scene.path("readable/attacks.py");
    std::fs::create_dir_all(scene.path("readable")).expect("a folder");
    std::fs::write(&attacks, ATTACKS).expect("written");
    if let Some(user) = user {
        scene.give_to(user);
    }
    let id = user.unwrap_or(0).to_string();
    let mut victim = Command::new("setpriv");
    if user.is_some() {
        victim.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    let victim = victim.arg(PYTHON).arg(&attacks).arg("victim").arg(&folder).stdin(Stdio::null()).spawn();
    let _victim = Victim(victim.expect("python runs"));
    wait_until("there is a victim", PATIENT, || folder.join("readable/offered").exists());
    let lines = format!(
        "program = ['{PYTHON}', '{}', 'attempt', '{}']\n{}",
        attacks.display(),
        folder.display(),
        confine
            .replace("FOLDER", &folder.display().to_string())
            .replace("ATTACKS", &attacks.display().to_string()),
    );
    programs.plain("attacker", &lines);
    farrier_as(programs, user, &["up"]).assert_code(0);
    let name = scene.name("attacker");
    let told = || farrier_as(programs, user, &["logs", &name]).to_string();
    wait_until("all was attempted", PATIENT, || told().contains("\nwhole\n") || told().contains("Traceback"));
    let log = farrier_as(programs, user, &["logs", &name]).stdout();
    farrier_as(programs, user, &["down", "--yes"]).assert_code(0);
    assert_eq!(
        std::fs::read_to_string(folder.join("readable/offered")).map(|text| text.len() > 10).ok(),
        Some(true)
    );
    let line = |line: &str| line.split_once(": ").map(|(name, end)| (name.to_owned(), end.to_owned()));
    log.lines().filter_map(line).collect()
}

#[test]
fn a_confined_program_reaches_nothing_of_its_user_that_is_not_listed() {
    let programs = Programs::new();
    if !Path::new(PYTHON).exists() {
        return say_skipped(&format!("attacks of confined programs, which need {PYTHON}"));
    }
    if !can_confine(&programs) {
        return;
    }
    let is_root = rustix::process::geteuid().is_root();
    for user in [None, Some(SOMEBODY)].into_iter().filter(|user| user.is_none() || is_root) {
        let open = attempts(&programs, user, "");
        for (name, end) in open.iter().filter(|(name, _)| *name != NEVER && !PERHAPS.contains(&name.as_str()))
        {
            assert_eq!(
                end, "done",
                "{name} works for {user:?} without confinement, so the attempt is a real one"
            );
        }
        let confine = "confine = { read = ['FOLDER/readable', 'ATTACKS'], network = 'loopback' }";
        let confined = attempts(&programs, user, confine);
        assert_eq!(confined.keys().collect::<Vec<_>>(), open.keys().collect::<Vec<_>>());
        for (name, end) in &confined {
            assert!(end.starts_with("refused: "), "{name}: {end} ({user:?})");
        }
        if std::env::var_os("FARRIER_SHOW_ATTEMPTS").is_some() {
            eprintln!("{user:?}: {} attempts\nopen {open:#?}\nconfined {confined:#?}", confined.len());
        }
    }
    programs.scene.give_to(rustix::process::geteuid().as_raw());
}

#[test]
fn a_confined_program_does_what_its_definition_lists() {
    let programs = Programs::new();
    if !can_confine(&programs) {
        return;
    }
    let is_root = rustix::process::geteuid().is_root();
    let scene = &programs.scene;
    for user in [None, Some(SOMEBODY)].into_iter().filter(|user| user.is_none() || is_root) {
        for folder in ["assets", "data"] {
            std::fs::create_dir_all(scene.path(folder)).expect("a folder");
        }
        std::fs::write(scene.path("assets/page"), "a page\n").expect("written");
        // The program is beside nothing that it may read by itself.
        let program = scene.path("server");
        std::fs::copy(fixture_program(), &program).expect("copied");
        let port = free_port();
        let (assets, data) = (scene.path("assets"), scene.path("data"));
        let test = "cat $ASSETS/page && echo tested >>$DATA/tests && cat $DATA/../secret && exit 1; exit 0";
        programs.define("box", &format!(
            "program = ['{}', 'serve', '--port', '{port}', '--reply', 'confined']\nenv = {{ ASSETS = '{}', DATA = '{}' }}\n\
             confine = {{ read = ['{}'], write = ['{}'], network = 'loopback' }}\n[interface]\nkind = 'port'\nport = {port}\n\
             [[readiness]]\nprobe = 'tcp'\n[[readiness]]\nprobe = 'exec'\ncommand = ['sh', '-c', '{test}']\n",
            program.display(), assets.display(), data.display(), assets.display(), data.display()
        ));
        std::fs::write(scene.path("secret"), "secret").expect("written");
        if let Some(user) = user {
            scene.give_to(user);
        }
        let variable = scene.variable("box");
        let harness = program.display().to_string();
        let launch = ["launch", "--", &harness, "ask-env", &variable];
        for _ in 0..2 {
            assert_eq!(farrier_as(&programs, user, &launch).assert_code(0).stdout(), "confined\n");
        }
        assert!(std::fs::read_to_string(data.join("tests")).expect("it wrote").starts_with("tested\n"));
        let all = farrier_as(&programs, user, &["ps", "--engine", "native", "--format", "json"]).stdout();
        let all: Value = serde_json::from_str(&all).expect("JSON");
        assert_eq!(all["sidecars"][0]["state"], "running");
        farrier_as(&programs, user, &["down", "--yes"]).assert_code(0);
        std::fs::remove_dir_all(&data).expect("removed");
    }
    scene.give_to(rustix::process::geteuid().as_raw());
}

#[test]
fn a_confinement_is_a_part_of_the_sidecar_and_of_its_approval() {
    let programs = Programs::new();
    let folder = programs.scene.layer(Layer::Workspace);
    let name = programs.scene.name("theirs");
    let define = |confine: &str| {
        let text = format!(
            "program = ['sleep', '1000']\n{confine}\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n"
        );
        programs.scene.define_in(Layer::Workspace, &format!("{name}.toml"), text);
    };
    define("confine = { read = ['.'], network = 'loopback' }");
    let told = programs.farrier(["approve", &name, "--format", "json"]).output().stdout().replace('\\', "");
    for text in [
        "runs on this machine as you, confined",
        "it reads only the system's programs and libraries, its own file and [\".\"]; writes only its own folder; and reaches no network",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    std::os::unix::fs::symlink("/etc", folder.join("link")).expect("a link");
    for (confine, code) in [
        ("confine = { read = ['/etc'] }", "outside-workspace"),
        ("confine = { read = ['link'] }", "outside-workspace"),
        ("confine = { write = ['~/x'] }", "outside-workspace"),
        ("confine = { write = ['absent'] }", "file-unusable"),
        ("confine = { network = 'none' }", "invalid-value"),
        ("confine = { execute = ['.'] }", "unknown-key"),
    ] {
        define(confine);
        let validate = programs.farrier(["validate"]).output().assert_code(2);
        assert!(validate.to_string().contains(&format!("[{code}]")), "{confine}: {validate}");
    }
    std::fs::remove_file(folder.join(format!("{name}.toml"))).expect("removed");
    programs.plain("box", "image = 'postgres:16'\nconfine = {}");
    let validate = programs.farrier(["validate"]).output().assert_code(2);
    assert!(validate.to_string().contains("`confine` is only for a `program`"), "{validate}");
}
