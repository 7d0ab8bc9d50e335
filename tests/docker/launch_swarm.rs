//! Launches on a Docker Swarm of two nodes: the one whose manager `FARRIER_SWARM` and `DOCKER_HOST` name.

use crate::support::docker::run;
use crate::support::engine::{docker, fixture_image};
use crate::support::launching::server;
use crate::support::swarm::{Nodes, remove_marks, remove_services};
use crate::support::{Image, PATIENT, Run, Scene, fixture_program, wait_until};

mod loss;
mod machines;
mod networks;
mod own_node;
mod storage;
mod worker;

/// A scene on the Swarm, with the id that the fixture's image has on both nodes.
struct OnSwarm {
    nodes: Nodes,
    image: String,
    /// Dropped last.
    scene: Scene,
}

impl OnSwarm {
    fn new() -> Option<Self> {
        let nodes = Nodes::find()?;
        // What a launch notes of a Swarm is no other test's business.
        let scene = Scene::with_docker()?.isolated();
        let image = nodes.share(&fixture_image());
        Some(Self { nodes, image, scene })
    }

    fn define(&self, stem: &str, top: &str) {
        self.scene.define(stem, &server(&self.image, top));
    }

    fn launch(&self, harness: &[&str]) -> Run {
        self.scene.launch_with(["--engine", "swarm"], harness)
    }

    fn farrier(&self, arguments: &[&str]) -> Run {
        self.scene.farrier(arguments).env("FARRIER_ENGINE", "swarm")
    }

    /// A harness of this host that asks a sidecar.
    fn asking(&self, stem: &str) -> Vec<String> {
        vec![fixture_program().display().to_string(), "ask-env".to_owned(), self.scene.variable(stem)]
    }

    fn ask(&self, stem: &str) -> Run {
        let words = self.asking(stem);
        self.launch(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn services(&self) -> Vec<String> {
        let all = docker(["service", "ls", "--format", "{{.Name}}"]);
        all.lines().filter(|name| name.contains(self.scene.token())).map(str::to_owned).collect()
    }
}

impl Drop for OnSwarm {
    fn drop(&mut self) {
        remove_services(self.scene.token());
        remove_marks(self.scene.token());
        self.nodes.take_back(&self.scene.label());
    }
}

#[test]
fn a_harness_on_this_host_reaches_a_service_which_is_reused_listed_read_changed_and_removed() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    for expected in ["create: ", "reuse: "] {
        let outcome = on.ask("db").output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
        let decisions = on.scene.take_decisions();
        assert!(decisions.iter().all(|decision| decision.starts_with(expected)), "{decisions:?}");
    }
    let name = on.scene.name("db");
    let listed = on.farrier(&["ps"]).output().assert_code(0).stdout();
    assert!(listed.contains(&name), "{listed}");
    on.farrier(&["logs", &name]).output().assert_code(0);
    let listed = on.scene.farrier(["ps"]).output().assert_code(0).stdout();
    assert!(listed.contains(&name), "a command that names no engine looks there, too: {listed}");
    on.define("db", "env = { LEVEL = \"debug\" }");
    on.ask("db").output().assert_code(0);
    let decisions = on.scene.take_decisions();
    assert!(decisions.iter().all(|decision| decision.starts_with("recreate: ")), "{decisions:?}");
    assert_eq!(on.services(), [on.scene.container("db")]);
    on.farrier(&["down", "--yes", &name]).output().assert_code(0);
    assert_eq!(on.services(), [""; 0]);
}

#[test]
fn a_harness_in_a_container_meets_the_service_by_its_name() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let (label, variable) = (on.scene.label(), on.scene.variable("db"));
    let harness = ["docker", "run", "--rm", "--init", "--label", &label, &on.image, "ask-env", &variable];
    let outcome = on.launch(&harness).output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
}

#[test]
fn a_service_is_ready_only_once_the_health_test_of_its_image_has_passed() {
    let Some(on) = OnSwarm::new() else { return };
    let test = "HEALTHCHECK --interval=4s CMD [\"/fixture\", \"healthy-when-port\", \"7000\"]";
    let image = on.nodes.share(&on.scene.image(&Image::new().change(test)));
    on.scene.define("db", &server(&image, ""));
    let (label, variable) = (on.scene.label(), on.scene.variable("db"));
    let harness = ["docker", "run", "--rm", "--init", "--label", &label, &on.image, "ask-env", &variable];
    let outcome = on.launch(&harness).output().assert_code(0);
    assert_eq!(outcome.stdout().trim(), "pong", "its name resolves: {outcome}");
    // Whoever comes meanwhile waits for what is there.
    on.scene.define("db", &server(&image, "env = { LEVEL = \"debug\" }"));
    let running = [on.ask("db").spawn(), on.ask("db").spawn()];
    for run in running {
        assert_eq!(run.wait().assert_code(0).stdout().trim(), "pong");
    }
}

#[test]
fn what_only_a_node_itself_could_do_is_refused_before_any_call() {
    let Some(on) = OnSwarm::new() else { return };
    let image = &on.image;
    let readiness = "[readiness]\nprobe = \"healthcheck\"\n";
    let top = "mounts = [\"volume:data:/data\", \"docker-socket:ro\"]\nprivileged = true\n";
    on.scene.define("db", &format!("image = \"{image}\"\n{top}[interface]\nkind = \"none\"\n{readiness}"));
    let run = on.ask("db").env("DOCKER_HOST", "unix:///nowhere");
    let said = run.output().assert_code(125).stderr();
    for words in [
        "tests the health only of sidecars on its manager's own node",
        "keeps a volume on one node",
        "has no socket",
        "does not support `privileged`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.contains("the engine `swarm`") && !said.contains("nowhere"), "{said}");
}

#[test]
fn an_image_that_a_node_cannot_get_is_told_with_the_node() {
    let Some(on) = OnSwarm::new() else { return };
    // An address at which nothing listens: it is refused at once.
    on.scene.define("db", &server("127.0.0.1:1/farrier-nothing:1", ""));
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("cannot get the image `127.0.0.1:1/farrier-nothing:1`"), "{said}");
    assert!(said.contains("the node `"), "{said}");
    assert_eq!(on.services(), [""; 0], "nothing half-made is left");
}

#[test]
fn a_worker_is_no_manager() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "");
    let said = on.ask("db").env("DOCKER_HOST", &on.nodes.worker).output().assert_code(125).stderr();
    assert!(said.contains("the engine is a worker of its Swarm, not a manager"), "{said}");
}

impl OnSwarm {
    /// Says that sidecars with [`Self::placed`] may run on a node.
    fn admit(&self, node: &str) {
        docker(["node", "update", "--label-add", &format!("{}=yes", self.scene.token()), node]);
    }

    fn placed(&self, more: &str) -> String {
        format!("placement = [\"node.labels.{} == yes\"]\n{more}", self.scene.token())
    }

    fn node_of(engine: &str) -> String {
        docker(["--host", engine, "info", "--format", "{{.Swarm.NodeID}}"])
    }

    /// Waits until the service's newest task is on a node, and runs.
    fn until_on(&self, stem: &str, node: &str) {
        let service = self.scene.container(stem);
        let is_there = || {
            let filter = ["service", "ps", "--filter", "desired-state=running", "--quiet", "--no-trunc"];
            let tasks = docker(filter.into_iter().chain([service.as_str()]));
            tasks.lines().next().is_some_and(|task| {
                let format = "{{.NodeID}} {{.Status.State}}";
                let found = run(["inspect", "--type", "task", "--format", format, task]);
                found.is_ok_and(|found| found == format!("{node} running"))
            })
        };
        wait_until("the task runs on the node", PATIENT, is_there);
    }

    fn until_ready(node: &str) {
        let state = || docker(["node", "inspect", "--format", "{{.Status.State}}", node]);
        wait_until("the node answers", PATIENT, || state() == "ready");
    }
}

#[test]
fn a_sidecar_runs_where_its_definition_says() {
    let Some(on) = OnSwarm::new() else { return };
    let worker = OnSwarm::node_of(&on.nodes.worker);
    on.admit(&worker);
    on.define("db", &on.placed(""));
    on.ask("db").output().assert_code(0);
    on.until_on("db", &worker);
    on.define("db", "placement = [\"node.labels.nowhere == yes\"]");
    let said = on.ask("db").output().assert_code(125).stderr();
    assert!(said.contains("no suitable node"), "{said}");
}

#[test]
fn a_definition_names_the_engine_and_its_sidecar_runs_beside_those_of_others() {
    let Some(on) = OnSwarm::new() else { return };
    on.define("db", "engine = \"swarm\"");
    on.scene.define("cache", &server(&on.image, ""));
    for stem in ["db", "cache"] {
        let words = on.asking(stem);
        let outcome = on.scene.launch(&words).output().assert_code(0);
        assert_eq!(outcome.stdout().trim(), "pong", "{outcome}");
    }
    assert_eq!(on.services(), [on.scene.container("db")]);
    let containers = docker(["ps", "--format", "{{.Names}}"]);
    assert!(containers.lines().any(|name| name == on.scene.container("cache")), "{containers}");
    let listed = on.scene.farrier(["ps"]).output().assert_code(0).stdout();
    assert!(listed.contains("farrier-swarm"), "it is on a network of its own engine: {listed}");
    let harness = ["docker", "run", "--rm", &on.image, "exit", "0"];
    let run = on.scene.launch(harness).env("DOCKER_HOST", "unix:///nowhere");
    let said = run.output().assert_code(125).stderr();
    assert!(said.contains("(engine `swarm`) shares none with") && !said.contains("nowhere"), "{said}");
    on.scene.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(on.services(), [""; 0]);
}
