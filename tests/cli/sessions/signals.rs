//! Signals at each stage of a session: the first one ends it as its makers intended, the second one at once.

use super::setup::{Kind, Stack};
use crate::programs::setup::processes_with;
use crate::support::{PATIENT, Signal, wait_until};

/// The sidecar runs, but is not ready.
#[test]
fn a_signal_while_a_session_starts_ends_it() {
    for kind in Kind::ALL {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let stack = Stack::new(kind);
            stack.never_ready();
            let launch = stack.launch(&["exit", "0"]).spawn();
            wait_until("its program runs", PATIENT, || !processes_with("TOKEN", stack.token()).is_empty());
            launch.signal(signal);
            let ended = launch.wait().assert_code(code);
            assert!(ended.stderr().contains("before the harness ran"), "{ended}");
            stack.is_gone_soon("it was interrupted");
        }
    }
}

/// The harness has the terminal's signal, too; its exit code is its own.
#[test]
fn a_signal_while_the_harness_runs_is_the_harnesss() {
    for kind in Kind::ALL {
        let stack = Stack::new(kind);
        let launch = stack.launch(&["wait"]).spawn();
        stack.wait_until_it_runs();
        launch.signal(Signal::INT);
        launch.wait().assert_code(130);
        stack.is_gone(&format!("{kind:?}: the harness was interrupted"));
    }
}

/// Whoever cannot wait for the sidecars' grace does not have to.
#[test]
fn a_second_signal_ends_the_command_at_once_and_the_removal_goes_on() {
    for kind in Kind::ALL {
        for starts in [true, false] {
            let stack = Stack::new(kind);
            let what = format!("{kind:?}, it starts: {starts}");
            stack.stubborn();
            let launch = stack.launch(&["wait"]).spawn();
            if starts {
                wait_until(&what, PATIENT, || stack.is_started("web"));
            } else {
                stack.wait_until_it_runs();
            }
            launch.signal(Signal::INT);
            let stops = || {
                let events = stack.images.programs.scene.events();
                events.iter().any(|event| event["event"] == "stopping")
            };
            wait_until(&format!("{what}: it is being stopped"), PATIENT, stops);
            launch.signal(Signal::INT);
            let ended = launch.wait().assert_code(130);
            let goes_on = processes_with("TOKEN", stack.token());
            assert!(!goes_on.is_empty(), "{what}: its grace is not over: {ended}");
            assert!(
                ended.stderr().contains("[session-left]") && ended.stderr().contains("in the background"),
                "{ended}"
            );
            for process in goes_on {
                let process = rustix::process::Pid::from_raw(process).expect("a process");
                // With one of them, others may have ended.
                let _ = rustix::process::kill_process(process, Signal::KILL);
            }
            stack.is_gone_soon(&what);
        }
    }
}
