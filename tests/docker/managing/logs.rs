//! `farrier logs`.

use std::time::Duration;

use super::ps::started;
use crate::support::launching::{idler, server};
use crate::support::{Scene, Signal, assert_output, docker, fixture_image, wait_until};

/// A server that writes these lines when it starts, and every exchange.
fn talking(scene: &Scene, lines: &str) -> String {
    let command =
        format!("command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--trace\", {lines}]");
    scene.define("db", &server(&fixture_image(), &command));
    started(scene)
}

#[test]
fn each_stream_goes_to_the_same_stream() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("flood", &idler(&fixture_image(), "command = [\"flood\", \"3\"]"));
    let network = scene.network("net");
    drop(scene.launch(scene.in_container(&network, &["exit", "0"])).output());
    let logs = |options: &[&str]| {
        scene.farrier(["logs"]).args(options).arg(scene.name("flood")).output().assert_code(0)
    };
    let all = logs(&[]);
    assert_eq!((all.stdout().lines().count(), all.stderr().lines().count()), (3, 3), "{all}");
    let newest = logs(&["--tail", "2"]);
    assert_eq!(newest.stdout().lines().count() + newest.stderr().lines().count(), 2, "{newest}");
    let none = logs(&["-n", "0"]);
    assert_eq!((none.stdout().as_str(), none.stderr().as_str()), ("", ""));
}

#[test]
fn following_shows_what_comes_until_the_container_ends() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = talking(&scene, "\"--log\", \"first words\"");
    let following = scene.farrier(["logs", "-f", &scene.name("db")]).spawn();
    following.wait_for_stdout("first words\n");
    scene.launch(scene.asking(&network, "db")).output().assert_code(0);
    following.wait_for_stdout("ping");
    docker(["rm", "--force", &scene.container("db")]);
    following.wait().assert_code(0);
}

#[test]
fn several_are_told_apart_and_may_have_times_and_a_beginning() {
    let Some(scene) = Scene::with_docker() else { return };
    let command = "command = [\"serve\", \"--port\", \"7000\", \"--log\", \"other words\"]";
    scene.define("other", &server(&fixture_image(), command));
    talking(&scene, "\"--log\", \"first words\"");
    let (db, other) = (scene.name("db"), scene.name("other"));
    let logs = |options: &[&str]| scene.farrier(["logs"]).args(options).output().assert_code(0).stdout();
    wait_until("both words are in the log", Duration::from_mins(10), || {
        logs(&[]).contains("first words") && logs(&[]).contains("other words")
    });
    // Also those that nobody named.
    for options in [&["--since", "1h"] as &[&str], &["--since", "1h", &db, &other]] {
        let both = logs(options);
        let lines: Vec<&str> = both.lines().collect();
        let words = format!("{db:width$} | first words", width = other.len());
        assert!(lines.contains(&words.as_str()), "{both}");
        assert!(lines.iter().any(|line| line.starts_with(&format!("{other} | "))), "{both}");
    }
    let timed = logs(&["--timestamps", &db]);
    let line = timed.lines().find_map(|line| line.strip_suffix(" first words")).expect("the line");
    line.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{error}: {timed}"));
    assert_eq!(logs(&["--since", "0s", &db]), "");
}

#[test]
fn a_signal_ends_following_without_a_word() {
    let Some(scene) = Scene::with_docker() else { return };
    talking(&scene, "\"--log\", \"first words\"");
    let following = scene.farrier(["logs", "--follow", &scene.container("db")]).spawn();
    following.wait_for_stdout("first words\n");
    following.signal(Signal::INT);
    let outcome = following.wait().assert_code(130);
    assert_eq!(outcome.stderr(), "", "{outcome}");
}

#[test]
fn only_a_terminal_is_kept_from_control_characters() {
    let Some(scene) = Scene::with_docker() else { return };
    talking(&scene, "\"--log\", \"\\u001B[31mred\\tend\"");
    let piped = scene.farrier(["logs", &scene.name("db")]).output().assert_code(0);
    assert!(piped.stdout().starts_with("\u{1b}[31mred\tend\n"), "{piped}");
    let shown = scene.farrier(["logs", &scene.name("db")]).spawn_on_terminal(80, 24).wait().assert_code(0);
    assert_output!(shown, @r"
    exit code 0
    --- stdout
    \x1b[31mred	end
    accepting 0.0.0.0:7000 at [UNIX TIME]
    --- stderr
    ");
    assert!(!shown.stdout().contains('\u{1b}'), "{shown}");
}

#[test]
fn runs_before_the_current_one_are_shown_only_when_asked_for() {
    let Some(scene) = Scene::with_docker() else { return };
    talking(&scene, "\"--log\", \"first words\"");
    docker(["restart", "--time", "0", &scene.container("db")]);
    wait_until("both runs wrote all that they write", Duration::from_mins(10), || {
        docker(["logs", &scene.container("db")]).matches("accepting").count() == 2
    });
    for (options, expected) in [(&[][..], 1), (&["--all-runs"][..], 2)] {
        let outcome = scene.farrier(["logs"]).args(options).arg(scene.name("db")).output().assert_code(0);
        assert_eq!(outcome.stdout().matches("first words").count(), expected, "{outcome}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_one_that_is_near() {
    let Some(scene) = Scene::with_docker() else { return };
    talking(&scene, "\"--log\", \"first words\"");
    let near = scene.farrier(["logs", &format!("{}x", scene.name("db"))]).output().assert_code(125);
    assert!(near.stderr().contains("[sidecar-not-found]"), "{near}");
    assert!(near.stderr().contains(&format!("Did you mean `{}`?", scene.name("db"))), "{near}");
    scene.define("absent", &idler(&fixture_image(), "command = [\"wait\"]"));
    let absent = scene.farrier(["logs", &scene.name("absent")]).output().assert_code(125);
    assert_output!(absent, @"
    exit code 125
    --- stdout
    --- stderr
    error[sidecar-not-found]: the sidecar `absent-[TOKEN]` has no container
     |
     = help: Start it with `farrier up`.
    ");
}
