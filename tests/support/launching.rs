//! Launches whose decisions are read as data: definitions of the fixture server, harnesses, and events.

use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::engine::{PATIENT, docker, fixture_image, inspect, wait_until};
use super::events::{Events, event};
use super::run::Run;
use super::running::Outcome;
use super::scene::Scene;

/// The file that a scene's launches write their events to.
const EVENTS: &str = "events.jsonl";

/// The definition of a server that answers `pong` on port 7000, with these lines in its top table.
pub fn server(image: &str, top: &str) -> String {
    server_ready(image, top, "probe = \"tcp\"\ntimeout = \"60s\"")
}

/// The same with these lines about its readiness.
pub fn server_ready(image: &str, top: &str, readiness: &str) -> String {
    let command = if top.contains("command =") {
        ""
    } else {
        "command = [\"serve\", \"--port\", \"7000\", \"--reply\", \"pong\"]\n"
    };
    format!(
        "lifecycle = \"shared\"\nimage = \"{image}\"\n{command}{top}\n[interface]\nkind = \"port\"\nport = 7000\n\n\
         [readiness]\n{readiness}\n"
    )
}

/// A sidecar that nobody connects to: that it runs is all that is asked of it.
pub fn idler(image: &str, top: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"{image}\"\n{top}\n[interface]\nkind = \"none\"\n\n\
         [readiness]\nprobe = \"skip\"\n"
    )
}

impl Scene {
    /// `farrier launch` of this harness, its events in a file of the scene's.
    pub fn launch<A: AsRef<OsStr>>(&self, harness: impl IntoIterator<Item = A>) -> Run {
        self.launch_with(std::iter::empty::<&str>(), harness)
    }

    /// The same with more options.
    pub fn launch_with<O: AsRef<OsStr>, A: AsRef<OsStr>>(
        &self,
        options: impl IntoIterator<Item = O>,
        harness: impl IntoIterator<Item = A>,
    ) -> Run {
        let own = [OsString::from("launch"), "--events".into(), self.path(EVENTS).into()];
        self.farrier(own).args(options).arg("--").args(harness)
    }

    /// `farrier up`, its events in the same file.
    pub fn up(&self) -> Run {
        self.farrier(["up", "--events"]).arg(self.path(EVENTS))
    }

    /// `farrier up`, during which the container of a sidecar that does nothing listens once a probe answered so. How it ended, and
    /// all answers.
    pub fn up_listening_after<O: AsRef<OsStr>>(
        &self,
        options: impl IntoIterator<Item = O>,
        stem: &str,
        answer: &str,
    ) -> (Outcome, Vec<String>) {
        self.take_events();
        let mut running = self.up().args(options).spawn();
        let heard = || self.told().answered().iter().any(|heard| heard.starts_with(answer));
        wait_until("the probe answers, or the launch has ended", PATIENT, || heard() || running.has_ended());
        self.listen(stem);
        (running.wait(), self.told().answered())
    }

    /// Lets the container of a sidecar that does nothing listen after all.
    pub fn listen(&self, stem: &str) {
        docker(["exec", "--detach", &self.container(stem), "/fixture", "serve", "--port", "7000"]);
    }

    /// What was written to that file so far.
    pub fn told(&self) -> Events {
        Events::read(&self.path(EVENTS))
    }

    /// Fails the test unless farrier ended because of one sidecar that did not become ready, with this code.
    #[track_caller]
    pub fn assert_not_ready(&self, outcome: Outcome, code: &str) -> (Outcome, Events) {
        let outcome = outcome.assert_code(125);
        let events = self.told();
        assert_eq!(events.one("not-ready")["code"], code, "{outcome}");
        (outcome, events)
    }

    /// The events of all launches since the last call.
    pub fn take_events(&self) -> Vec<Value> {
        let events = self.events();
        drop(std::fs::remove_file(self.path(EVENTS)));
        events
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(EVENTS)).unwrap_or_default();
        // A line that is being written is read the next time.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(event).collect()
    }

    /// Whether such an event was written.
    pub fn has_event(&self, kind: &str) -> bool {
        self.events().iter().any(|event| event["event"] == kind)
    }

    /// What the launches since the last call decided: `ACTION: CAUSE; CAUSE`.
    pub fn take_decisions(&self) -> Vec<String> {
        decisions(&self.take_events())
    }

    /// The codes of the problems that the launches since the last call told, in order.
    pub fn take_codes(&self) -> Vec<String> {
        codes(&self.take_events())
    }

    /// `farrier plan --format json` for this harness.
    pub fn plan<A: AsRef<OsStr>>(&self, harness: impl IntoIterator<Item = A>) -> Value {
        let plan = self.farrier(["plan", "--format", "json", "--"]).args(harness).output().assert_code(0);
        serde_json::from_str(&plan.stdout()).expect("a plan is JSON")
    }

    /// A harness in a container on this network that asks the server `stem` and prints its answer.
    pub fn asking(&self, network: &str, stem: &str) -> Vec<String> {
        let variable = self.variable(stem);
        self.in_container(network, &["ask-env", &variable])
    }

    /// A harness in a container on this network.
    pub fn in_container(&self, network: &str, arguments: &[&str]) -> Vec<String> {
        let (label, image) = (self.label(), fixture_image());
        let own = ["docker", "run", "--rm", "--init", "--label", &label, "--network", network, &image];
        own.iter().chain(arguments).map(|&word| word.to_owned()).collect()
    }
}

/// What these events say was decided.
pub fn decisions(events: &[Value]) -> Vec<String> {
    let planned = events.iter().filter(|event| event["event"] == "planned");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    planned
        .map(|event| {
            let causes = event["causes"].as_array().expect("causes");
            format!("{}: {}", text(&event["action"]), causes.iter().map(text).collect::<Vec<_>>().join("; "))
        })
        .collect()
}

/// What a plan says will be done, in the words of `decisions`.
pub fn planned(plan: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    plan["sidecars"]
        .as_array()
        .expect("sidecars")
        .iter()
        .map(|sidecar| {
            let causes = sidecar["causes"].as_array().expect("causes");
            let causes: Vec<String> = causes.iter().map(|cause| text(&cause["message"])).collect();
            format!("{}: {}", text(&sidecar["action"]), causes.join("; "))
        })
        .collect()
}

/// The codes of the problems among these events, in order.
pub fn codes(events: &[Value]) -> Vec<String> {
    let problems = events.iter().filter(|event| event["event"] == "problem");
    problems.map(|event| event["code"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Id and start of a container: the same before and after where nothing touched it.
pub fn identity(container: &str) -> String {
    inspect(container, "{{.Id}} {{.State.StartedAt}}")
        .unwrap_or_else(|| panic!("there is no container {container}"))
}

/// Fails the test unless the harness ran and got its answer.
#[track_caller]
pub fn assert_answered(outcome: Outcome) {
    let outcome = outcome.assert_code(0);
    assert_eq!(outcome.stdout(), "pong\n", "{outcome}");
}
