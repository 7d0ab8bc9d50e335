//! What a probe executes in a service: only on the manager's own node, where the manager is the engine of its container.

use super::OnSwarm;
use crate::support::Image;
use crate::support::launching::server_ready;

/// Asks the server from inside its container.
const EXECUTED: &str =
    "probe = \"exec\"\ncommand = [\"/fixture\", \"healthy-when-port\", \"7000\"]\ntimeout = \"60s\"";

impl OnSwarm {
    fn define_on(&self, node: &str, image: &str, readiness: &str) {
        let top = format!("placement = [\"node.id == {node}\"]\n");
        self.scene.define("db", &server_ready(image, &top, readiness));
    }
}

#[test]
fn a_probe_executes_commands_on_the_managers_own_node() {
    let Some(on) = OnSwarm::new() else { return };
    let own = OnSwarm::node_of(&on.nodes.manager);
    on.define_on(&own, &on.image, EXECUTED);
    for expected in ["create: ", "reuse: "] {
        let outcome = on.ask("db").output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
        let decisions = on.scene.take_decisions();
        assert!(decisions.iter().all(|decision| decision.starts_with(expected)), "{decisions:?}");
    }
    on.define_on(&own, &on.image, &EXECUTED.replace("healthy-when-port", "nonsense").replace("60s", "15s"));
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("is not ready") && said.contains("`/fixture` exited 2"), "{said}");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}

#[test]
fn on_another_node_that_is_refused_and_nothing_is_made() {
    let Some(on) = OnSwarm::new() else { return };
    on.define_on(&OnSwarm::node_of(&on.nodes.worker), &on.image, EXECUTED);
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(
        said.contains("a probe executes commands in the sidecar, which this manager cannot do"),
        "{said}"
    );
    on.scene.define("db", &server_ready(&on.image, "", EXECUTED));
    let said = on.ask("db").env("DOCKER_HOST", "unix:///nowhere").output().assert_code(125).stderr();
    let refused =
        "executes commands only in sidecars on its manager's own node, which the probe `exec` needs";
    assert!(said.contains(refused) && !said.contains("nowhere"), "{said}");
    assert_eq!(on.services(), [""; 0]);
}

#[test]
fn the_health_test_of_an_image_is_a_probe_on_the_managers_own_node() {
    let Some(on) = OnSwarm::new() else { return };
    let own = OnSwarm::node_of(&on.nodes.manager);
    let test = "HEALTHCHECK --interval=1s CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]";
    let image = on.nodes.share(&on.scene.image(&Image::new().change(test)));
    on.define_on(&own, &image, "probe = \"healthcheck\"\ntimeout = \"60s\"");
    let outcome = on.ask("db").output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    // The fixture's own image has no such test.
    on.define_on(&own, &on.image, "probe = \"healthcheck\"\ntimeout = \"10s\"");
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("HEALTHCHECK"), "{said}");
    on.farrier(&["down", "--yes", &on.scene.name("db")]).output().assert_code(0);
}
