//! The networks of a Swarm that farrier makes, while tasks on them are ending.

use super::OnSwarm;
use crate::support::docker::run;
use crate::support::engine::docker;
use crate::support::{PATIENT, Run, wait_until};

impl OnSwarm {
    /// A sidecar on the manager's node that does not end before it is killed.
    fn define_stubborn(&self) {
        let node = Self::node_of(&self.nodes.manager);
        let top =
            format!("placement = [\"node.id == {node}\"]\nstop_signal = \"WINCH\"\nstop_timeout = \"20s\"");
        self.define("db", &top);
    }

    /// A launch with sidecars and a network that are this scene's alone.
    fn ask_alone(&self) -> Run {
        let asking = self.asking("db");
        let words = asking.iter().map(String::as_str).collect::<Vec<_>>();
        self.scene.launch_with(["--engine", "swarm", "--instance", self.scene.token()], &words)
    }

    /// The id of the network that the only service is on.
    fn network(&self) -> String {
        let format = "{{(index .Spec.TaskTemplate.Networks 0).Target}}";
        docker(["service", "inspect", "--format", format, &self.services()[0]])
    }

    /// Removes the only service, whose task then ends.
    fn remove_service(&self) {
        docker(["service", "rm", &self.services()[0]]);
    }

    fn down(&self) {
        self.farrier(&["down", "--yes", "--instance", self.scene.token()]).output().assert_code(0);
    }
}

#[test]
fn a_network_that_was_removed_below_an_ending_task_is_made_again() {
    let Some(on) = OnSwarm::new() else { return };
    on.define_stubborn();
    on.ask_alone().output().assert_code(0);
    let former = on.network();
    on.remove_service();
    wait_until("farrier's own containers have left it", PATIENT, || run(["network", "rm", &former]).is_ok());
    let listed = run(["network", "ls", "--quiet", "--no-trunc"]).expect("a list");
    assert!(listed.contains(&former), "the manager still lists it: {listed}");
    let outcome = on.ask_alone().output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    assert_ne!(on.network(), former);
    on.down();
}

#[test]
fn a_network_on_which_a_task_is_ending_stays() {
    let Some(on) = OnSwarm::new() else { return };
    on.define_stubborn();
    on.ask_alone().output().assert_code(0);
    let network = on.network();
    on.remove_service();
    on.down();
    let is_there = || run(["network", "inspect", &network]).is_ok();
    assert!(is_there());
    wait_until("the task has ended", PATIENT, || {
        on.down();
        !is_there()
    });
}
