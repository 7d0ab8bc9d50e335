//! Launches with an order, a job and a session whose system calls fail, come late or hang, or which are killed at one:
//! the launch succeeds or says why not, the next one works, and nothing is left of the session.

use std::path::Path;
use std::process::Command;

use super::setup::{Kind, Stack};
use crate::support::skipping::say_skipped;
use crate::support::tables::step;
use crate::support::{Outcome, PATIENT, Run, Running, Signal, fixture_program, wait_until};

/// The system calls that change what others find, and those by which a launch speaks with its helpers.
const CALLS: &str = "rename,renameat,renameat2,mkdir,mkdirat,mount,unshare,execve,unlink,unlinkat,link,linkat,chmod,fchmodat,\
                     symlinkat,pivot_root,setns,flock,pipe2,socketpair,fsync";

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It fails, in each process of the launch.
    Fails,
    /// It comes late, in each process.
    Late,
    /// The launch is killed instead of it.
    Killed,
    /// Each process is killed instead of it: the launch, its guardian, supervisors, programs.
    AllKilled,
    /// The launch hangs there until somebody kills it.
    Hangs,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Fails, Self::Late, Self::Killed, Self::AllKilled, Self::Hangs];

    fn words(self) -> &'static str {
        match self {
            Self::Fails => "error=EIO",
            Self::Late => "delay_enter=150000",
            Self::Killed | Self::AllKilled => "signal=KILL",
            Self::Hangs => "signal=STOP",
        }
    }

    /// Whether the processes that the launch starts are traced, too.
    fn follows(self) -> bool {
        matches!(self, Self::Fails | Self::Late | Self::AllKilled)
    }
}

fn traced(stack: &Stack, fault: Fault, number: usize, trace: &Path) -> Run {
    let scene = &stack.images.programs.scene;
    let inject = format!("inject={CALLS}:{}:when={number}", fault.words());
    let follow: &[&str] = if fault.follows() { &["-f"] } else { &[] };
    Run::program(scene, "strace")
        .args(follow)
        .args(["-e", &format!("trace={CALLS}"), "-e", &inject, "-o"])
        .arg(trace)
        .args([env!("CARGO_BIN_EXE_farrier"), "launch", "--"])
        .arg(fixture_program())
        .args(["exit", "0"])
        .env("DOCKER_HOST", "unix:///nowhere.sock")
}

/// Whether the process that was traced first has ended; the last one of its helpers may be the shared sidecar.
fn has_ended(trace: &str, fault: Fault) -> bool {
    if !fault.follows() {
        return trace.contains("+++");
    }
    let Some((launch, _)) = trace.split_once(' ') else { return false };
    trace.lines().any(|line| line.starts_with(&format!("{launch} ")) && line.contains("+++"))
}

fn in_words(outcome: &Outcome, what: &str) {
    let told = outcome.stderr();
    assert!(!told.contains("panicked"), "{what}: {outcome}");
    if !matches!(outcome.code(), Some(0) | None) {
        assert!(told.contains("error") || told.contains("warning"), "{what}: no word: {outcome}");
    }
}

/// One case; false if no process came to a call of this number.
fn survives(stack: &Stack, fault: Fault, number: usize, tracers: &mut Vec<Running>) -> bool {
    let trace = stack.images.programs.scene.path("trace");
    drop(std::fs::remove_file(&trace));
    let text = || std::fs::read_to_string(&trace).unwrap_or_default();
    let what = format!("{:?}: {fault:?} at {number}", stack.kind);
    let mut launch = traced(stack, fault, number, &trace).spawn();
    let is_stopped = |text: &str| text.contains("--- stopped by SIGSTOP");
    wait_until(&what, PATIENT, || {
        let text = text();
        launch.has_ended() || has_ended(&text, fault) || (fault == Fault::Hangs && is_stopped(&text))
    });
    let told = text();
    let was_hit = told.contains("INJECTED")
        || told.contains("DELAYED")
        || told.contains("killed by SIGKILL")
        || is_stopped(&told);
    if fault == Fault::Hangs && is_stopped(&told) {
        // With the tracer, which is in its group.
        launch.signal_group(Signal::KILL);
    }
    if fault.follows() {
        tracers.push(launch);
    } else {
        in_words(&launch.wait(), &what);
    }
    if matches!(fault, Fault::Killed | Fault::Hangs) {
        // Its guardian was not hit, and nobody runs a command.
        stack.is_gone_soon(&what);
    } else {
        // Its guardian may be hit while it clears up, so that a further command has to.
        let is_gone = || {
            let ps = stack.images.farrier(["ps"]).output();
            assert_eq!(ps.code(), Some(0), "{what}: {ps}");
            stack.left().is_empty()
        };
        wait_until(&format!("{what}: nothing is left of the session"), PATIENT, is_gone);
    }
    let again = stack.asking("web").output();
    assert_eq!(
        (again.code(), again.stdout().as_str()),
        (Some(0), "pong\n"),
        "{what}: the next launch: {again}"
    );
    stack.is_gone(&what);
    was_hit
}

/// Every call of a launch meets each fault in turn; an ordinary run takes a part of both.
fn table(kind: Kind, every: usize) {
    if Command::new("strace").arg("--version").output().is_err() {
        return say_skipped("strace is not installed, which makes system calls fail");
    }
    let stack = Stack::new(kind);
    let (mut tracers, mut cases) = (Vec::new(), 0);
    for (turn, fault) in Fault::ALL.into_iter().enumerate() {
        // Each fault begins at another call.
        let first = if step(every) == 1 { 1 } else { 1 + turn * every / Fault::ALL.len() };
        let mut of_fault = 0;
        for number in (first..).step_by(step(every)) {
            // The shared one is recreated.
            stack.images.farrier(["down", "--yes"]).output().assert_code(0);
            if !survives(&stack, fault, number, &mut tracers) {
                break;
            }
            of_fault += 1;
        }
        println!("{kind:?}: {fault:?} at {of_fault} calls, left: 0");
        cases += of_fault;
    }
    assert!(cases >= 8, "{cases}");
    stack.images.farrier(["down", "--yes"]).output().assert_code(0);
    for tracer in tracers {
        // Its last process has ended.
        in_words(&tracer.wait(), "a traced launch");
    }
    wait_until("no lock is left", PATIENT, || stack.locks().is_empty());
    println!("{kind:?}: {cases} launches with an order, a job and a session met a fault, left: 0");
}

#[test]
fn whatever_becomes_of_a_call_of_programs_nothing_is_left() {
    table(Kind::Programs, 19);
}

#[test]
fn whatever_becomes_of_a_call_of_containers_nothing_is_left() {
    table(Kind::Containers, 23);
}
