//! Definitions of programs, and what is there of them.

use std::ffi::OsStr;

use rustix::process::Pid;
use serde_json::Value;

use crate::support::{PATIENT, Run, Scene, fixture_program, wait_until};

/// A scene whose sidecars are programs. They are removed with it.
pub struct Programs {
    pub scene: Scene,
}

impl Programs {
    pub fn new() -> Self {
        Self { scene: Scene::new().isolated() }
    }

    /// A definition with these lines.
    pub fn define(&self, stem: &str, lines: &str) {
        self.scene.define(stem, &format!("lifecycle = 'shared'\n{lines}"));
    }

    /// One without a port that is ready when it runs.
    pub fn plain(&self, stem: &str, lines: &str) {
        self.define(stem, &format!("{lines}\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n"));
    }

    /// The fixture's server with these arguments, ready when this port accepts.
    pub fn serving(&self, stem: &str, port: u16, arguments: &str) {
        self.serving_with(stem, port, arguments, "");
    }

    pub fn serving_with(&self, stem: &str, port: u16, arguments: &str, lines: &str) {
        let program = fixture_program();
        let text = format!(
            "program = ['{}', 'serve', {arguments}]\n{lines}\n[interface]\nkind = 'port'\nport = {port}\n\
             [readiness]\nprobe = 'tcp'\n",
            program.display()
        );
        self.define(stem, &text);
    }

    pub fn farrier<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        // No other engine is asked for anything.
        self.scene.farrier(arguments).env("DOCKER_HOST", "unix:///nowhere.sock")
    }

    /// What `farrier ps` tells of each sidecar.
    pub fn all(&self) -> Vec<Value> {
        let told = self.farrier(["ps", "--engine", "native", "--format", "json"]).output().assert_code(0);
        let told: Value = serde_json::from_str(&told.stdout()).expect("JSON");
        told["sidecars"].as_array().cloned().unwrap_or_default()
    }

    pub fn only(&self) -> Value {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// Everything that the sidecar wrote.
    pub fn log(&self, stem: &str) -> String {
        let name = self.scene.name(stem);
        self.farrier(["logs", &name]).output().assert_code(0).stdout()
    }

    pub fn wait_for_log(&self, stem: &str, text: &str) {
        wait_until(&format!("{stem} wrote {text:?}"), PATIENT, || self.log(stem).contains(text));
    }

    /// The process that looks after a sidecar.
    pub fn supervisor(&self, sidecar: &Value) -> Pid {
        self.process(sidecar, "supervisor")
    }

    /// A sidecar's first process.
    pub fn program(&self, sidecar: &Value) -> Pid {
        self.process(sidecar, "program")
    }

    fn process(&self, sidecar: &Value, which: &str) -> Pid {
        let id = sidecar["id"].as_str().expect("an id");
        let state = self.scene.state_home().join("farrier/native/instances").join(id).join("state.json");
        let state: Value = serde_json::from_slice(&std::fs::read(state).expect("a state")).expect("JSON");
        let process = state[which]["id"].as_i64().and_then(|id| i32::try_from(id).ok());
        process.and_then(Pid::from_raw).expect("a process")
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let down = self.farrier(["down", "--all", "--yes", "--force", "--engine", "native"]).output();
        if !std::thread::panicking() {
            down.assert_code(0);
        }
    }
}

/// The processes that were started with this variable, in ascending order.
pub fn processes_with(name: &str, value: &str) -> Vec<i32> {
    let mark = format!("{name}={value}");
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut found: Vec<i32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| {
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect();
    found.sort_unstable();
    found
}
