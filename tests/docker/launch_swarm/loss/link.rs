//! The link between the nodes, which is cut for a while: nothing ends, but neither node hears of the other.

use std::process::Command;

use super::{OnSwarm, worker_process};
use crate::support::engine::docker;
use crate::support::launching::server_ready;
use crate::support::skipping::say_skipped;
use crate::support::{PATIENT, wait_until};

/// The worker's link, cut for as long as this lives.
struct Cut {
    process: String,
    device: String,
    /// The kernel forgets them with the link.
    routes: Vec<String>,
}

impl Cut {
    /// Cuts the link that the worker's default route uses.
    fn new(process: String) -> Self {
        let default = network_tool(&process, &["-4", "route", "show", "default"]);
        let device = default.split_whitespace().skip_while(|word| *word != "dev").nth(1);
        let device = device.expect("a default route over a link").to_owned();
        let routes = network_tool(&process, &["-4", "route", "show", "dev", &device]);
        let cut = Self { process, device, routes: routes.lines().map(str::to_owned).collect() };
        network_tool(&cut.process, &["link", "set", &cut.device, "down"]);
        cut
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        take_back(&self.process, "ip", &["link", "set", &self.device, "up"]);
        for route in &self.routes {
            let words = ["-4", "route", "replace"].into_iter().chain(route.split_whitespace());
            let words: Vec<&str> = words.chain(["dev", self.device.as_str()]).collect();
            take_back(&self.process, "ip", &words);
        }
    }
}

/// What nodes tell each other of endpoints.
const GOSSIP: &str = "7946";
/// What their containers send each other.
const PACKETS: &str = "4789";

/// What the worker and the other nodes send to a UDP port of each other, lost for as long as this lives.
struct Loss {
    process: String,
    port: &'static str,
}

impl Loss {
    fn of(port: &'static str, process: String) -> Self {
        let loss = Self { process, port };
        loss.each("--insert", |process, program, words| drop(in_network(process, program, words)));
        loss
    }

    fn each(&self, how: &str, change: impl Fn(&str, &str, &[&str])) {
        for chain in ["INPUT", "OUTPUT"] {
            let rule = ["--protocol", "udp", "--dport", self.port, "--jump", "DROP"];
            change(&self.process, "iptables", &[&["--wait", how, chain][..], &rule].concat());
        }
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        self.each("--delete", take_back);
    }
}

/// Runs `ip` in the network namespace of a process, and returns its output.
fn network_tool(process: &str, words: &[&str]) -> String {
    in_network(process, "ip", words)
}

/// Runs a command in the network namespace of a process, and returns its output.
fn in_network(process: &str, program: &str, words: &[&str]) -> String {
    try_in_network(process, program, words).unwrap_or_else(|error| panic!("{program} {words:?}: {error}"))
}

/// Takes back what a test has changed there, also after the test has failed.
fn take_back(process: &str, program: &str, words: &[&str]) {
    if let Err(error) = try_in_network(process, program, words) {
        assert!(std::thread::panicking(), "{program} {words:?}: {error}");
    }
}

fn try_in_network(process: &str, program: &str, words: &[&str]) -> Result<String, String> {
    let namespace = format!("--net=/proc/{process}/ns/net");
    let output = Command::new("nsenter").args([namespace.as_str(), program]).args(words).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The worker's engine, if its link is no link of this machine's own.
fn linked_worker() -> Option<String> {
    let process = worker_process()?;
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
    if namespace(&process) == namespace("self") {
        say_skipped("the worker shares this machine's network");
        return None;
    }
    Some(process)
}

/// Waits until the Swarm has noticed that a node does not answer.
fn until_lost(node: &str) {
    let state = || docker(["node", "inspect", "--format", "{{.Status.State}}", node]);
    wait_until("the node is lost", PATIENT, || state() == "down");
}

#[test]
fn a_wait_goes_on_after_the_link_to_the_node_was_cut() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = linked_worker() else { return };
    let worker = OnSwarm::node_of(&on.nodes.worker);
    let waiting = on.awaited_on_worker(&worker);
    let cut = Cut::new(process);
    // The Swarm gives the task up, and has no other node for the next one.
    until_lost(&worker);
    drop(cut);
    on.assert_ready_on(&worker, waiting);
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_harness_is_told_that_the_link_to_the_node_of_its_sidecar_is_cut() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = linked_worker() else { return };
    on.assert_loss_is_told(|| Cut::new(process));
}

impl OnSwarm {
    /// Defines `db`, whose probe does not dial and whose task runs on the worker, and gives the worker's node.
    fn undialled_on_worker(&self) -> String {
        let command = "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\", \"--log\", \"it is ready\"]\n";
        let (top, worker) = self.on_worker(command);
        let readiness = "probe = \"log\"\nsettings = { text = \"it is ready\" }\ntimeout = \"2m\"";
        self.scene.define("db", &server_ready(&self.image, &top, readiness));
        worker
    }
}

#[test]
fn a_harness_whose_packets_do_not_find_the_way_does_not_run() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = linked_worker() else { return };
    let worker = on.undialled_on_worker();
    let loss = Loss::of(PACKETS, process);
    let outcome = on.ask("db").output();
    drop(loss);
    let said = outcome.assert_code(125).stderr();
    assert!(said.contains("error[harness-no-route]") && said.contains("UDP port 4789"), "{said}");
    assert!(on.scene.has_event("ready") && !on.scene.has_event("harness-starting"), "{said}");
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_harness_starts_once_packets_find_the_way_to_a_sidecar_that_nobody_dialled() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = linked_worker() else { return };
    let worker = on.undialled_on_worker();
    let loss = Loss::of(GOSSIP, process);
    let waiting = on.ask("db").spawn();
    // Nodes also compare what they know, every 30 s: if that is soon enough, the way is found in spite of the loss.
    let is_told = || on.scene.events().iter().any(|event| event["code"] == "harness-no-route");
    let is_found = || on.scene.has_event("harness-starting");
    wait_until("farrier waits for the way, or has found it", PATIENT, || is_told() || is_found());
    drop(loss);
    let outcome = waiting.wait().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    OnSwarm::until_ready(&worker);
}

#[test]
fn a_probe_whose_packets_do_not_reach_the_node_of_its_sidecar_says_so() {
    let Some(on) = OnSwarm::new() else { return };
    let Some(process) = linked_worker() else { return };
    let (top, worker) = on.on_worker("");
    on.scene.define("db", &server_ready(&on.image, &top, "probe = \"tcp\"\ntimeout = \"10s\""));
    let loss = Loss::of(PACKETS, process);
    let outcome = on.ask("db").output();
    drop(loss);
    let said = outcome.assert_code(125).stderr();
    assert!(said.contains("likely cause: packets from the manager's node do not reach it"), "{said}");
    OnSwarm::until_ready(&worker);
    on.ask("db").output().assert_code(0);
}
