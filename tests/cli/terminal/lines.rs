//! Live lines: what they say while a launch waits, and what is left of them.

use super::recording::is_later;
use super::screen::{define, launch, listen, server, shown, silent, wait_for_screen};
use crate::support::{Image, PATIENT, Scene, docker, fixture_image, wait_until};

const TCP: &str = "probe = \"tcp\"\ntimeout = \"60s\"";

/// Whether bytes move the cursor or clear something.
fn moves_the_cursor(bytes: &str) -> bool {
    bytes.split('\u{1b}').skip(1).any(|rest| {
        let sequence: String = rest.chars().take_while(|c| !c.is_alphabetic()).collect();
        !rest[sequence.len()..].starts_with('m')
    })
}

#[test]
fn a_slow_sidecar_is_told_while_it_is_waited_for_and_one_line_remains() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &silent("", TCP));
    let running = launch(&scene, &[], &["print", "harness-was-here"], 100, &[]);
    wait_for_screen(&running, 100, "the last answer", |screen| {
        screen.contains("created") && screen.contains("tcp: connection refused")
    });
    let screen = wait_for_screen(&running, 100, "what it waits for", |screen| {
        screen.contains("waiting until port 7000 is open")
    });
    assert_eq!(screen.lines().count(), 1, "{screen}");
    assert!(screen.starts_with("db "), "{screen}");
    listen(&scene);
    let outcome = running.wait().assert_code(0);
    let screen = shown(&outcome.stdout(), 100);
    let lines: Vec<&str> = screen.lines().collect();
    let [summary, harness] = lines.as_slice() else { panic!("{screen}") };
    assert!(summary.starts_with("farrier: db ready after "), "{screen}");
    assert!(summary.ends_with(": created"), "{screen}");
    assert_eq!(*harness, "harness-was-here");
    // Nothing of farrier's comes after the harness has begun.
    assert!(outcome.stdout().trim_end().ends_with("harness-was-here"), "{outcome}");
}

#[test]
fn a_launch_that_reuses_everything_leaves_one_line_and_moves_no_cursor() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "cache", &server("0", "", TCP));
    define(&scene, "db", &server("0", "", TCP));
    launch(&scene, &[], &["exit", "0"], 80, &[]).wait().assert_code(0);
    let outcome = launch(&scene, &[], &["exit", "0"], 80, &[]).wait().assert_code(0);
    let screen = shown(&outcome.stdout(), 80);
    assert_eq!(screen.lines().count(), 1, "{screen}");
    assert!(screen.starts_with("farrier: 2 sidecars ready after "), "{screen}");
    assert!(screen.ends_with(": cache reused; db reused"), "{screen}");
}

#[test]
fn a_recreation_says_why_when_all_is_over() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("0", "", TCP));
    launch(&scene, &[], &["exit", "0"], 100, &[]).wait().assert_code(0);
    define(&scene, "db", &server("0", "env = { LEVEL = \"2\" }", TCP));
    let outcome = launch(&scene, &[], &["exit", "0"], 100, &[]).wait().assert_code(0);
    let screen = shown(&outcome.stdout(), 100);
    assert!(screen.ends_with(": recreated, because env.LEVEL changed"), "{screen}");
}

#[test]
fn what_becomes_of_data_stays_on_the_screen() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = scene.image(&Image::new().change("VOLUME [\"/data\"]"));
    let level = |level: &str| {
        let text = server("0", &format!("env = {{ LEVEL = \"{level}\" }}"), TCP);
        define(&scene, "db", &text.replace(&fixture_image(), &image));
    };
    for (value, is_told) in [("low", false), ("high", true), ("high", false)] {
        level(value);
        let outcome = launch(&scene, &[], &["exit", "0"], 100, &[]).wait().assert_code(0);
        let screen = shown(&outcome.stdout(), 100);
        assert_eq!(screen.contains("the data was first written with another"), is_told, "{screen}");
        assert!(screen.lines().last().is_some_and(|line| line.starts_with("farrier: db ")), "{screen}");
    }
}

#[test]
fn a_failure_leaves_its_report_and_no_live_line() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "cache", &server("0", "", TCP));
    launch(&scene, &[], &["exit", "0"], 100, &[]).wait().assert_code(0);
    define(&scene, "db", &server("600000", "", "probe = \"tcp\"\ntimeout = \"1s\""));
    let outcome = launch(&scene, &[], &["exit", "0"], 100, &[]).wait().assert_code(125);
    let screen = shown(&outcome.stdout(), 100);
    assert!(screen.starts_with("error[not-ready]: sidecar `db` is not ready: "), "{screen}");
    assert!(screen.contains("  probe tcp, until port 7000 is open: "), "{screen}");
    assert!(screen.contains("  other sidecars: cache ready"), "{screen}");
    assert!(screen.contains("help: "), "{screen}");
}

#[test]
fn a_narrow_terminal_wraps_nothing_and_keeps_the_answer() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "a-sidecar-with-a-long-name", &silent("", TCP));
    let running = launch(&scene, &[], &["exit", "0"], 40, &[]);
    wait_for_screen(&running, 40, "the answer", |screen| screen.contains("connection refused"));
    wait_until("it waited for long", PATIENT, || {
        let screen = shown(&running.stdout(), 40);
        assert!(screen.lines().count() <= 1, "{screen}");
        is_later(&screen)
    });
    listen(&scene);
    let outcome = running.wait().assert_code(0);
    let screen = shown(&outcome.stdout(), 40);
    assert_eq!(screen.lines().count(), 1, "{screen}");
}

#[test]
fn without_colour_nothing_is_coloured_and_lines_still_move() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("600000", "", "probe = \"tcp\"\ntimeout = \"1s\""));
    let outcome = launch(&scene, &[], &["exit", "0"], 80, &[("NO_COLOR", "1")]).wait().assert_code(125);
    let bytes = outcome.stdout();
    let coloured = bytes.split('\u{1b}').skip(1).any(|rest| {
        let sequence: String = rest.chars().take_while(|c| !c.is_alphabetic()).collect();
        rest[sequence.len()..].starts_with('m') && sequence != "[0" && sequence != "["
    });
    assert!(!coloured, "{bytes:?}");
    assert!(moves_the_cursor(&bytes), "{bytes:?}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("300", "", TCP));
    let outcome = launch(&scene, &[], &["exit", "0"], 80, &[("TERM", "dumb")]).wait().assert_code(0);
    let bytes = outcome.stdout();
    assert!(!moves_the_cursor(&bytes), "{bytes:?}");
    assert!(bytes.contains("farrier: db: create, because it does not exist\r\n"), "{bytes:?}");
    assert!(bytes.contains("farrier: db: ready after "), "{bytes:?}");
}

#[test]
fn quiet_shows_nothing_where_all_is_well() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("300", "", TCP));
    let outcome = launch(&scene, &["-q"], &["exit", "0"], 80, &[]).wait().assert_code(0);
    assert_eq!(outcome.stdout(), "");
}

#[test]
fn answers_stand_above_the_live_lines() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &silent("", TCP));
    let running = launch(&scene, &["-v"], &["exit", "0"], 100, &[]);
    wait_for_screen(&running, 100, "the answer", |screen| screen.contains("tcp #1: connection refused"));
    listen(&scene);
    let outcome = running.wait().assert_code(0);
    let screen = shown(&outcome.stdout(), 100);
    assert!(screen.contains("farrier: db: tcp #1: connection refused"), "{screen}");
    assert!(screen.lines().last().is_some_and(|line| line.ends_with(": created")), "{screen}");
}

#[test]
fn ctrl_c_takes_the_lines_away() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("600000", "", TCP));
    let mut running = launch(&scene, &[], &["exit", "0"], 100, &[]);
    wait_for_screen(&running, 100, "the answer", |screen| screen.contains("connection refused"));
    running.type_text("\u{3}");
    let outcome = running.wait().assert_code(130);
    let screen = shown(&outcome.stdout(), 100);
    assert!(screen.contains("[interrupted]"), "{screen}");
    assert!(!screen.contains("connection refused"), "{screen}");
    let list = docker(["ps", "--quiet", "--filter", &format!("network={}", scene.network("net"))]);
    assert_eq!(list.lines().count(), 1, "the sidecar stays: {list}");
}

#[test]
fn in_the_background_nothing_is_drawn_and_in_the_foreground_it_goes_on() {
    let Some(scene) = Scene::with_docker() else { return };
    define(&scene, "db", &server("600000", "", "probe = \"tcp\"\ntimeout = \"10m\""));
    let events = scene.path("events.jsonl");
    let waited = |longer: f64| {
        let answered = || {
            let all = scene.events().into_iter().filter(|event| event["event"] == "answered");
            all.filter_map(|event| event["at_ms"].as_f64()).next_back().unwrap_or_default()
        };
        wait_until("it is asked", PATIENT, || answered() > 0.0);
        let before = answered();
        wait_until("it is asked for longer", PATIENT, || answered() > before + longer);
    };
    let farrier = format!(
        "{} launch --no-workspace --events {} --org-dir {} -- true &\n",
        env!("CARGO_BIN_EXE_farrier"),
        events.display(),
        scene.layer(crate::support::Layer::Org).display()
    );
    let shell = crate::support::Run::program(&scene, "bash").args(["--norc", "--noprofile", "-i"]);
    let mut shell = shell.spawn_on_terminal(200, 50);
    shell.type_text(&farrier);
    // Long enough for several drawings.
    waited(500.0);
    assert!(!shell.stdout().contains("connection refused"), "{}", shell.stdout());
    shell.type_text("fg\n");
    shell.wait_for_stdout("connection refused");
    shell.type_text("\u{1a}");
    shell.wait_for_stdout("Stopped");
    shell.type_text("bg; echo in-the-''background\n");
    shell.wait_for_stdout("in-the-background\r\n");
    let before = shell.stdout().len();
    waited(500.0);
    assert!(!shell.stdout()[before..].contains("connection refused"), "{}", &shell.stdout()[before..]);
    shell.type_text("fg\n");
    wait_until("the lines are back", PATIENT, || shell.stdout()[before..].contains("connection refused"));
    let screen = shown(&shell.stdout(), 200);
    assert!(screen.contains("in-the-background"), "what the shell wrote stays: {screen}");
    shell.type_text("\u{3}");
    shell.wait_for_stdout("[interrupted]");
    shell.type_text("exit 3\n");
    shell.wait().assert_code(3);
}
