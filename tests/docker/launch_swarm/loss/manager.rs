//! The manager's engine, which is restarted while a launch waits. With it ends the relay, which is a container of the
//! manager's.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, Stdio};

use super::{OnSwarm, signal, worker_process};
use crate::support::docker::run;
use crate::support::launching::server;
use crate::support::swarm::process_at;
use crate::support::{Image, PATIENT, wait_until};

/// Waits for a line, and then becomes the program that its arguments name.
const LATER: &str = "read go && exec \"$@\" </dev/null";

/// The manager's engine while it is stopped. It starts again when this is dropped.
struct Stopped {
    address: String,
    node: String,
    successor: Child,
}

impl Stopped {
    /// Ends the engine at this address as a service manager does.
    fn new(address: &str) -> Self {
        let process = process_at(address).expect("the manager listens at a socket of this machine");
        let node = OnSwarm::node_of(address);
        let stopped = Self { address: address.to_owned(), node, successor: successor_of(process) };
        signal(&process.to_string(), "-TERM");
        wait_until("the manager's engine has ended", PATIENT, || !is_alive(process));
        stopped
    }
}

impl Drop for Stopped {
    /// Waits until the manager answers: no other test can run before.
    fn drop(&mut self) {
        if let Some(mut pipe) = self.successor.stdin.take() {
            drop(pipe.write_all(b"go\n"));
        }
        let format = "{{.Status.State}}";
        let words = ["--host", &self.address, "node", "inspect", "--format", format, &self.node];
        let is_ready = || run(words).is_ok_and(|state| state == "ready");
        wait_until("the manager answers again", PATIENT, is_ready);
    }
}

/// A process with the command, the environment, the output and the namespaces of another one, which it keeps: it runs the
/// command once it reads a line.
fn successor_of(process: u32) -> Child {
    let of = |name: &str| format!("/proc/{process}/{name}");
    let log = File::options().append(true).open(of("fd/1")).expect("its output");
    let variables = words_in(&of("environ")).into_iter().filter_map(|variable| {
        let variable = variable.into_string().ok()?;
        variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let successor = Command::new("setsid")
        .args(["nsenter", &format!("--net={}", of("ns/net")), &format!("--mount={}", of("ns/mnt"))])
        .args(["sh", "-c", LATER, "sh"])
        .args(words_in(&of("cmdline")))
        .env_clear()
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a file descriptor is free"))
        .stderr(log)
        .spawn()
        .expect("setsid runs");
    let namespace = |process: u32, kind: &str| std::fs::read_link(format!("/proc/{process}/ns/{kind}")).ok();
    let has_joined =
        || ["net", "mnt"].iter().all(|kind| namespace(successor.id(), kind) == namespace(process, kind));
    wait_until("the successor is in the engine's namespaces", PATIENT, has_joined);
    successor
}

/// What a file of the kernel's contains, each word of which ends with a zero.
fn words_in(path: &str) -> Vec<OsString> {
    let content = std::fs::read(path).expect("the process lives");
    let words = content.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    words.filter(|word| !word.is_empty()).collect()
}

/// Whether a process has not ended, also if nobody has taken notice of its end.
fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn a_wait_outlasts_a_restart_of_the_manager() {
    let Some(on) = OnSwarm::new() else { return };
    if worker_process().is_none() {
        return;
    }
    let worker = OnSwarm::node_of(&on.nodes.worker);
    let waiting = on.awaited_on_worker(&worker);
    drop(Stopped::new(&on.nodes.manager));
    on.assert_ready_on(&worker, waiting);
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_start_outlasts_a_restart_of_the_manager_and_says_what_it_waits_for() {
    let Some(on) = OnSwarm::new() else { return };
    if worker_process().is_none() {
        return;
    }
    let worker = OnSwarm::node_of(&on.nodes.worker);
    OnSwarm::until_ready(&worker);
    on.admit(&worker);
    // The task counts as started once this has passed: not before the manager has ended.
    let test = "HEALTHCHECK --interval=30s CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]";
    let image = on.nodes.share(&on.scene.image(&Image::new().change(test)));
    on.scene.define("db", &server(&image, &on.placed("restart = \"on-failure\"\n")));
    let (waiting, service) = (on.ask("db").spawn(), on.scene.container("db"));
    wait_until("the task's health is being tested", PATIENT, || {
        let state = run(["service", "ps", "--format", "{{.CurrentState}}", &service]);
        state.is_ok_and(|state| state.starts_with("Starting"))
    });
    let stopped = Stopped::new(&on.nodes.manager);
    let is_told = || {
        let reason = "the manager of the Swarm does not answer";
        on.scene.events().iter().any(|event| event["event"] == "delayed" && event["reason"] == reason)
    };
    wait_until("the launch says what it waits for", PATIENT, is_told);
    drop(stopped);
    on.assert_ready_on(&worker, waiting);
    OnSwarm::until_ready(&worker);
}
