//! The help texts, as a reader with 80 columns sees them. `INSTA_UPDATE=always cargo test --test cli command_line`
//! takes them anew.

use clap::CommandFactory;
use farrier::cli::options::Cli;

use crate::support::Scene;

/// The words of every command that is shown, and of the commands below it.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    below(&Cli::command(), &[], &mut found);
    found
}

fn below(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
    for shown in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let words = [words, &[shown.get_name().to_owned()]].concat();
        found.push(words.clone());
        below(shown, &words, found);
    }
}

fn help(scene: &Scene, arguments: &[String]) -> String {
    scene.farrier(arguments).arg("--help").env("COLUMNS", "80").output().assert_code(0).stdout()
}

#[test]
fn every_help_text_is_as_it_was() {
    let scene = Scene::new();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        insta::assert_snapshot!("help", help(&scene, &[]));
        for command in commands() {
            insta::assert_snapshot!(format!("help-{}", command.join("-")), help(&scene, &command));
        }
    });
}

#[test]
fn every_help_text_fits_and_has_an_example() {
    let scene = Scene::new();
    for command in commands() {
        let text = help(&scene, &command);
        let long: Vec<&str> = text.lines().filter(|line| line.trim_end().chars().count() > 80).collect();
        assert_eq!(long, Vec::<&str>::new(), "{command:?}");
        assert!(text.contains("Example"), "{command:?} has no example:\n{text}");
    }
}

#[test]
fn farrier_alone_tells_the_next_commands_where_nothing_is_declared() {
    let scene = Scene::new();
    let told = scene.farrier([""; 0]).output().assert_code(2).stderr();
    for step in ["farrier new", "farrier plan", "farrier launch -- COMMAND"] {
        assert!(told.contains(step), "{told}");
    }
    assert!(!told.contains("Usage:"), "{told}");
    scene.define(
        "db",
        "image = \"x\"\nlifecycle = \"shared\"\ninterface.kind = \"none\"\nreadiness.probe = \"skip\"\n",
    );
    let told = scene.farrier([""; 0]).output().assert_code(2).stderr();
    assert!(told.contains("Usage:"), "{told}");
}
