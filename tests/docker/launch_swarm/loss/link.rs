//! The link between the nodes, which is cut for a while: nothing ends, but neither node hears of the other.

use std::process::Command;

use super::{OnSwarm, worker_process};
use crate::support::engine::docker;
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
        network_tool(&self.process, &["link", "set", &self.device, "up"]);
        for route in &self.routes {
            let words = ["-4", "route", "replace"].into_iter().chain(route.split_whitespace());
            let words: Vec<&str> = words.chain(["dev", self.device.as_str()]).collect();
            network_tool(&self.process, &words);
        }
    }
}

/// Runs `ip` in the network namespace of a process, and returns its output.
fn network_tool(process: &str, words: &[&str]) -> String {
    let namespace = format!("--net=/proc/{process}/ns/net");
    let output = Command::new("nsenter").args([namespace.as_str(), "ip"]).args(words).output();
    let output = output.expect("nsenter runs");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
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
