//! `farrier completions`, and what its script then asks.

use std::time::Duration;

use crate::support::launching::idler;
use crate::support::{Run, Scene, fixture_image, wait_until};

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
    scene.define_in(crate::support::Layer::User, "db.toml", idler("image:1", ""));
    let asking = scene.farrier(["--", "farrier", "logs", "d"]).env("_FARRIER_COMPLETE", "fish");
    let outcome = asking.env("DOCKER_HOST", "unix:///nonexistent.sock").output().assert_code(0);
    assert_eq!(outcome.stdout().trim_end(), "db", "{outcome}");
    assert_eq!(outcome.stderr(), "");
}

#[test]
fn running_sidecars_complete_in_a_real_shell() {
    let Some(scene) = Scene::with_docker() else { return };
    let file = scene.define("db", &idler(&fixture_image(), "command = [\"wait\"]"));
    let network = scene.network("net");
    scene.launch(scene.in_container(&network, &["exit", "0"])).output().assert_code(0);
    std::fs::remove_file(file).expect("it goes");
    let script = "source <(\"$FARRIER\" completions bash)\n\
                  COMP_WORDS=(farrier down \"$WORD\") COMP_CWORD=2 COMP_TYPE=9\n\
                  _clap_complete_farrier farrier \"$WORD\" down\n\
                  echo \"${COMPREPLY[0]}\"";
    // Who types is not kept waiting: an engine that is slow to answer, as on a busy machine, completes nothing.
    wait_until("the name is completed", Duration::from_mins(1), || {
        let outcome = Run::program(&scene, "/bin/bash")
            .args(["-c", script])
            .env("FARRIER", env!("CARGO_BIN_EXE_farrier"))
            .env("WORD", &scene.name("db")[..6])
            .output()
            .assert_code(0);
        outcome.stdout() == format!("{}\n", scene.name("db"))
    });
}
