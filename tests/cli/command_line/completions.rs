//! `farrier completions`, and what its script then asks.

use std::time::Duration;

use crate::support::launching::idler;
use crate::support::skipping::{REQUIRE_SHELLS, skip_unless_required};
use crate::support::{Layer, Run, Scene, fixture_image, wait_until};

/// What completes the last of these words.
fn candidates(scene: &Scene, words: &[&str]) -> Vec<String> {
    let asking = scene.farrier(["--", "farrier"]).args(words).env("_FARRIER_COMPLETE", "fish");
    let outcome = asking.output().assert_code(0);
    let names = outcome.stdout();
    names.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_shell_has_a_script_that_calls_farrier() {
    let scene = Scene::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = scene.farrier(["completions", shell]).output().assert_code(0).stdout();
        assert!(script.contains("_FARRIER_COMPLETE") && script.contains("farrier"), "{shell}: {script}");
    }
    scene.farrier(["completions", "command.com"]).output().assert_code(2);
}

#[test]
fn commands_options_and_codes_complete() {
    let scene = Scene::new();
    for (words, expected) in [
        (&["do"][..], &["down", "doctor"][..]),
        (&["logs", "--fol"], &["--follow"]),
        (&["ps", "--format", "j"], &["json"]),
        (&["explain", "alias"], &["alias-taken"]),
    ] {
        assert_eq!(candidates(&scene, words), expected, "{words:?}");
    }
}

#[test]
fn declared_sidecars_complete_also_without_an_engine() {
    let scene = Scene::new();
    scene.define_in(Layer::User, "db.toml", idler("image:1", ""));
    let asking = scene.farrier(["--", "farrier", "logs", "d"]).env("_FARRIER_COMPLETE", "fish");
    let outcome = asking.env("DOCKER_HOST", "unix:///nonexistent.sock").output().assert_code(0);
    assert_eq!(outcome.stdout().trim_end(), "db", "{outcome}");
    assert_eq!(outcome.stderr(), "");
}

#[test]
fn running_sidecars_complete_in_a_real_shell() {
    let Some(scene) = Scene::with_docker() else { return };
    let name = scene.name("db");
    let file = scene.define("db", &idler(&fixture_image(), "command = [\"wait\"]"));
    let network = scene.network("net");
    scene.launch(scene.in_container(&network, &["exit", "0"])).output().assert_code(0);
    std::fs::remove_file(file).expect("it goes");
    let script = "source <(\"$FARRIER\" completions bash)\n\
                  COMP_WORDS=(farrier down \"$WORD\") COMP_CWORD=2 COMP_TYPE=9\n\
                  _clap_complete_farrier farrier \"$WORD\" down\n\
                  echo \"${COMPREPLY[0]}\"";
    // Who types is not kept waiting: an engine that is slow to answer, as on a busy machine, completes nothing.
    wait_until("the name is completed", Duration::from_mins(10), || {
        let outcome = Run::program(&scene, "/bin/bash")
            .args(["-c", script])
            .env("FARRIER", env!("CARGO_BIN_EXE_farrier"))
            // No sidecar of another test begins with it.
            .env("WORD", &name[..name.len() - 1])
            .output()
            .assert_code(0);
        outcome.stdout() == format!("{name}\n")
    });
}

/// A shell that people type in, and how it is prepared.
struct Shell {
    program: &'static str,
    arguments: &'static [&'static str],
    /// Loads the script, and lets `farrier` say what it was called with.
    setup: &'static str,
}

const SHELLS: [Shell; 3] = [
    Shell {
        program: "bash",
        arguments: &["--noprofile", "--norc", "-i"],
        setup: "source <(\"$FARRIER\" completions bash); farrier() { echo \"called:$*.\"; }; echo set''up",
    },
    Shell {
        program: "zsh",
        arguments: &["-f", "-i"],
        setup: "autoload -U compinit; compinit -u -D; source <(\"$FARRIER\" completions zsh); \
                farrier() { echo \"called:$*.\"; }; echo set''up",
    },
    Shell {
        program: "fish",
        arguments: &["--no-config", "-i"],
        setup: "\"$FARRIER\" completions fish | source; function farrier; echo \"called:$argv.\"; end; echo set''up",
    },
];

impl Shell {
    fn is_here(&self) -> bool {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let is_here = std::env::split_paths(&paths).any(|folder| folder.join(self.program).exists());
        if !is_here {
            skip_unless_required(REQUIRE_SHELLS, &format!("{} is missing", self.program));
        }
        is_here
    }
}

/// Names that run a command, or move the cursor, where they reach a command line or a terminal as they are.
const HOSTILE: [&str; 5] = ["$(touch ran)", "`touch ran`", "; touch ran #", "\u{1b}[2J", "\u{202e}gnp"];

#[test]
fn nothing_that_a_shell_interprets_is_completed_in_any_shell() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.workspace().join(".git")).expect("a checkout");
    for (index, hostile) in HOSTILE.iter().enumerate() {
        let name = format!("evil{index}{hostile}");
        scene.define_in(Layer::Workspace, &format!("{name}.toml"), idler("image:1", ""));
        std::fs::write(scene.workspace().join(&name), "").expect("a file");
    }
    scene.define_in(Layer::Workspace, "good.toml", idler("image:1", ""));
    std::fs::write(scene.workspace().join("goodfile"), "").expect("a file");
    for shell in SHELLS.iter().filter(|shell| shell.is_here()) {
        let mut running = Run::program(&scene, shell.program)
            .args(shell.arguments)
            .env("FARRIER", env!("CARGO_BIN_EXE_farrier"))
            .env("DOCKER_HOST", "unix:///nonexistent.sock")
            .spawn_on_terminal(200, 50);
        running.type_text(&format!("{}\r", shell.setup));
        running.wait_for_stdout("setup");
        for (typed, expected) in [
            ("farrier logs goo", "called:logs good."),
            ("farrier up --events goo", "called:up --events goodfile."),
        ] {
            running.type_text(&format!("{typed}\t\r"));
            running.wait_for_stdout(expected);
        }
        for (index, _) in HOSTILE.iter().enumerate() {
            for typed in [format!("logs evil{index}"), format!("up --events evil{index}")] {
                running.type_text(&format!("farrier {typed}\t\r"));
                running.wait_for_stdout(&format!("called:{typed}."));
            }
        }
        running.type_text("exit\r");
        let outcome = running.wait();
        assert!(!scene.workspace().join("ran").exists(), "{}: {outcome}", shell.program);
        assert!(!outcome.stdout().contains('\u{202e}'), "{}: {outcome}", shell.program);
    }
}
