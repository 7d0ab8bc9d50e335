//! Signals while the harness runs: each reaches it, and none twice.

use rustix::termios::{Winsize, tcsetwinsize};

use super::{children, scene_with_server};
use crate::support::{PATIENT, Run, Running, Signal, wait_until};

/// Every signal that can be caught and does not stand for a fault of the program itself, by number. Not SIGCHLD,
/// which a shell gets of its own children.
fn catchable() -> impl Iterator<Item = i32> {
    let (faults, uncatchable, children) = ([4, 7, 8, 11], [9, 19], 17);
    (1..=31).chain(34..=64).filter(move |number| {
        !faults.contains(number) && !uncatchable.contains(number) && *number != children
    })
}

/// A shell that says which signals it gets, and ends with 7 at SIGTERM.
fn reporting() -> String {
    let traps = catchable().map(|number| format!("trap 'echo got {number}.' {number}; ")).collect::<String>();
    format!("{traps} trap 'echo got 15.; exit 7' 15; echo up; while :; do sleep 0.02; done")
}

fn kill(process: u32, number: i32) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{number} {process}")]).status();
    assert!(sent.is_ok_and(|status| status.success()), "signal {number}");
}

/// The state of a process as the kernel names it: `T` is stopped.
fn state(process: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?')
}

fn times(launch: &Running, text: &str) -> usize {
    launch.stdout().matches(text).count()
}

#[test]
fn every_signal_to_farrier_alone_reaches_the_harness_once() {
    let Some((scene, _)) = scene_with_server() else { return };
    let launch = scene.launch(["sh", "-c", &reporting()]).spawn();
    launch.wait_for_stdout("up");
    for number in catchable().filter(|number| *number != 15) {
        kill(launch.id(), number);
        launch.wait_for_stdout(&format!("got {number}."));
    }
    for number in catchable().filter(|number| *number != 15) {
        assert_eq!(times(&launch, &format!("got {number}.")), 1, "{number}");
    }
    kill(launch.id(), 15);
    launch.wait().assert_code(7);
}

#[test]
fn what_the_terminal_sends_arrives_once() {
    let Some((scene, _)) = scene_with_server() else { return };
    let mut launch = scene.launch(["sh", "-c", &reporting()]).spawn_on_terminal(80, 24);
    launch.wait_for_stdout("up");
    let resize = |launch: &Running, columns| {
        let size = Winsize { ws_col: columns, ws_row: 20, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(launch.terminal(), size).expect("a terminal has a size");
    };
    // farrier forwards in order, so what it forwarded twice has arrived before the next signal.
    for (number, after) in [(2, 10), (3, 12), (28, 14)] {
        match number {
            2 => launch.type_text("\u{3}"),
            3 => launch.type_text("\u{1c}"),
            _ => resize(&launch, 70),
        }
        launch.wait_for_stdout(&format!("got {number}."));
        kill(launch.id(), after);
        launch.wait_for_stdout(&format!("got {after}."));
        assert_eq!(times(&launch, &format!("got {number}.")), 1, "{}", launch.stdout());
    }
    kill(launch.id(), 15);
    launch.wait().assert_code(7);
}

#[test]
fn a_terminal_that_is_gone_is_told_to_the_harness_of_a_session_leader() {
    let Some((scene, _)) = scene_with_server() else { return };
    let told = scene.path("told");
    let script = format!(
        "trap 'echo hung up > {}; exit 0' HUP; echo up; while :; do sleep 0.02; done",
        told.display()
    );
    let launch = scene.launch(["sh", "-c", &script]).spawn_on_terminal(80, 24);
    launch.wait_for_stdout("up");
    kill(launch.id(), 1);
    wait_until("the harness is told", PATIENT, || told.exists());
    launch.wait().assert_code(0);
}

#[test]
fn a_signal_of_the_harness_to_its_whole_group_does_not_come_back() {
    let Some((scene, _)) = scene_with_server() else { return };
    let script = "trap 'echo got 10.' USR1; trap 'echo got 12.' USR2; kill -USR1 0; echo up; \
                  while :; do sleep 0.02; done";
    let launch = scene.launch(["sh", "-c", script]).spawn();
    launch.wait_for_stdout("up");
    kill(launch.id(), 12);
    launch.wait_for_stdout("got 12.");
    assert_eq!(times(&launch, "got 10."), 1, "{}", launch.stdout());
}

#[test]
fn a_stop_of_farrier_alone_stops_the_harness_and_a_continue_continues_both() {
    let Some((scene, program)) = scene_with_server() else { return };
    let mut launch = scene.launch([&program, "cat"]).open_stdin().spawn();
    wait_until("the harness runs", PATIENT, || children(launch.id()).len() == 1);
    wait_until("it is told", PATIENT, || scene.has_event("harness-starting"));
    let harness = children(launch.id())[0];
    for _ in 0..3 {
        launch.signal(Signal::TSTP);
        wait_until("both are stopped", PATIENT, || state(harness) == 'T' && state(launch.id()) == 'T');
        launch.signal(Signal::CONT);
        wait_until("both go on", PATIENT, || state(harness) != 'T' && state(launch.id()) != 'T');
    }
    launch.type_text("still here\n");
    launch.wait_for_stdout("still here");
    launch.close_stdin();
    launch.wait().assert_code(0);
}

#[test]
fn a_shell_stops_and_continues_the_job() {
    let Some((scene, _)) = scene_with_server() else { return };
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let shell = crate::support::Run::program(&scene, "bash").args(["--norc", "--noprofile", "-i"]);
    let mut shell = shell.spawn_on_terminal(200, 24);
    let harness = "trap 'echo resu''med' CONT; echo u''p; while ! read line; do :; done; echo got $line";
    shell.type_text(&format!("{farrier} launch -- sh -c \"{}\"\n", harness.replace('$', "\\$")));
    shell.wait_for_stdout("up\r\n");
    shell.type_text("\u{1a}");
    shell.wait_for_stdout("Stopped");
    shell.type_text("fg\n");
    shell.wait_for_stdout("resumed\r\n");
    shell.type_text("more\n");
    shell.wait_for_stdout("got more\r\n");
    assert_eq!(times(&shell, "resumed\r\n"), 1, "the shell continued the harness itself: {}", shell.stdout());
    // A harness with a process group of its own stops alone, and gets the terminal back.
    shell.type_text(&format!("{farrier} launch -q -- bash --norc --noprofile -i\n"));
    shell.type_text("echo in''side\n");
    shell.wait_for_stdout("inside\r\n");
    let before = shell.stdout().len();
    shell.type_text("suspend\n");
    wait_until("the job is stopped", PATIENT, || shell.stdout()[before..].contains("Stopped"));
    shell.type_text("fg\n");
    shell.type_text("echo still-in''side; exit\n");
    shell.wait_for_stdout("still-inside\r\n");
    shell.type_text("exit 3\n");
    shell.wait().assert_code(3);
}

/// As where a program is brought into a container from outside, or under `unshare` and `bwrap`: the kernel gives 0 for
/// the group and the session of such a process.
#[test]
fn a_launch_whose_group_and_session_lie_outside_of_its_namespace_of_processes() {
    let Some((scene, _)) = scene_with_server() else { return };
    let unshared = |program: &str| {
        let options = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", program];
        Run::program(&scene, "unshare").args(options)
    };
    if unshared("true").output().code() != Some(0) {
        crate::support::skipping::say_skipped("a namespace of processes, which this machine does not allow");
        return;
    }
    let launch =
        unshared(env!("CARGO_BIN_EXE_farrier")).args(["launch", "--", "sh", "-c", &reporting()]).spawn();
    launch.wait_for_stdout("up");
    let farrier = children(launch.id()).first().copied().expect("unshare runs farrier");
    for number in [10, 20, 18, 12] {
        kill(farrier, number);
        launch.wait_for_stdout(&format!("got {number}."));
    }
    kill(farrier, 15);
    launch.wait().assert_code(7);
}
