//! What a container's process goes through: it starts, pauses and ends, and commands run beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;

use super::containers::{Kept, Wires, conflict};
use super::image::{End, Execution, Run};
use super::networks::joined;
use super::world::World;
use crate::engine::docker::api::{Health, HealthStatus, Status};
use crate::engine::{EngineError, EngineErrorKind, EngineResult};

/// A process that was started, as far as it goes on by itself.
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) started_at: String,
    pub(super) ends: Option<(Duration, End)>,
    pub(super) copies: Option<Wires>,
}

impl World {
    /// Whether a container's process exists.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.id_of(name).and_then(|id| self.containers.get(&id)).is_some_and(Kept::is_up)
    }

    /// Starts a container; what ends at once has ended when this returns.
    pub(super) fn start(&mut self, name: &str) -> EngineResult<Option<Begun>> {
        let now = self.now();
        let kept = self.find_mut(name)?;
        let id = kept.container.id.clone();
        match kept.container.status {
            Status::Paused => {
                return Err(conflict("cannot start a paused container, try unpause instead".to_owned()));
            }
            Status::Running | Status::Restarting => return Ok(None),
            _ => {}
        }
        let process = &kept.container.process;
        let arguments: Vec<String> = process.entrypoint.iter().chain(&process.command).cloned().collect();
        let run = kept.image.run(&arguments);
        let (address, declared) = (kept.image.address(kept.starts), kept.container.networks.clone());
        let mut endpoints = BTreeMap::new();
        let mut failure = None;
        if let End::CannotRun(message) = &run.end {
            failure = Some(EngineError::new(EngineErrorKind::Refused, message.clone()));
        }
        for (network, mut endpoint) in declared {
            endpoint.id = self.new_id();
            match self.one_network(&network) {
                Ok(found) => {
                    endpoints.insert(found.name.clone(), joined(endpoint, &found, address, &id));
                }
                Err(error) => failure = Some(error),
            }
        }
        let kept = self.find_mut(&id)?;
        if let Some(error) = failure {
            kept.container.error.clone_from(&error.message);
            kept.container.exit_code = 127;
            return Err(error);
        }
        let container = &mut kept.container;
        container.networks = endpoints;
        container.status = Status::Running;
        container.started_at = rfc3339(now);
        (container.exit_code, container.oom_killed) = (0, false);
        container.error.clear();
        let tested = container
            .process
            .health
            .as_ref()
            .is_some_and(|health| health.test.first().is_some_and(|kind| kind != "NONE"));
        container.health = tested.then(|| Health { status: HealthStatus::Starting, runs: Vec::new() });
        let started_at = container.started_at.clone();
        kept.starts += 1;
        if let Some((_, output)) = &mut kept.wires {
            // As much as the stream takes without a reader; whoever attached reads it, and its end with the
            // run's.
            let _ = output.write_all(&run.stdout).now_or_never();
        }
        let wires = kept.wires.take_if(|_| run.end == End::Copies);
        self.write_log(&id, &run);
        self.emit(&id, "start");
        let Run { after, end, .. } = run;
        let mut begun = Begun { id, started_at, ends: None, copies: None };
        match end {
            End::Never => {}
            End::Copies => begun.copies = wires,
            end if after.is_zero() => self.end_run(&begun.id, &begun.started_at, &end),
            end => begun.ends = Some((after, end)),
        }
        Ok(Some(begun))
    }

    /// Starts a container as another tool would.
    pub fn start_now(&mut self, name: &str) -> EngineResult<()> {
        self.start(name).map(drop)
    }

    /// Ends the run of a container that began at this moment, if it still goes on.
    pub(super) fn end_run(&mut self, id: &str, started_at: &str, end: &End) {
        if self.container(id).is_some_and(|container| container.started_at == started_at) {
            self.end(id, end);
        }
    }

    /// Ends a container's process.
    pub fn end(&mut self, name: &str, end: &End) {
        let Ok(kept) = self.find_mut(name) else { return };
        if !kept.is_up() {
            return;
        }
        let id = kept.container.id.clone();
        if *end == End::OutOfMemory {
            kept.container.oom_killed = true;
            self.emit(&id, "oom");
        }
        let now = rfc3339(self.now());
        let Ok(kept) = self.find_mut(&id) else { return };
        kept.container.status = Status::Exited;
        kept.container.finished_at = now;
        kept.container.exit_code = if let End::Exit(code) = end { *code } else { 137 };
        kept.wires = None;
        for endpoint in kept.container.networks.values_mut() {
            (endpoint.address, endpoint.gateway) = (None, None);
            endpoint.id.clear();
        }
        let removed = kept.removed_at_end;
        self.emit(&id, "die");
        if removed {
            self.remove(&id, true);
        }
    }

    /// Restarts a container, which may give it another address.
    pub fn restart(&mut self, name: &str) {
        self.end(name, &End::Exit(0));
        if self.start(name).is_ok()
            && let Ok(kept) = self.find_mut(name)
        {
            kept.container.restarts += 1;
        }
    }

    /// Freezes a container.
    pub fn pause(&mut self, name: &str) {
        if let Ok(kept) = self.find_mut(name)
            && kept.container.status == Status::Running
        {
            kept.container.status = Status::Paused;
            let id = kept.container.id.clone();
            self.emit(&id, "pause");
        }
    }

    pub(super) fn resume(&mut self, name: &str) -> EngineResult<()> {
        let kept = self.find_mut(name)?;
        if kept.container.status != Status::Paused {
            let message = format!("Container {} is not paused", kept.container.id);
            return Err(EngineError::new(EngineErrorKind::Refused, message));
        }
        kept.container.status = Status::Running;
        Ok(())
    }

    /// Lets a run of the health test end in this way, and the engine draw this conclusion.
    pub fn health(&mut self, name: &str, status: HealthStatus, exit_code: i64, output: &str) {
        let Ok(kept) = self.find_mut(name) else { return };
        let Some(health) = &mut kept.container.health else { return };
        health.runs.push((exit_code, output.to_owned()));
        if health.status == status {
            return;
        }
        health.status = status;
        let id = kept.container.id.clone();
        let word = match status {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        };
        self.emit(&id, &format!("health_status: {word}"));
    }

    /// Lets a container end by itself, as one that heeds its stop signal does.
    pub fn stop(&mut self, name: &str) -> EngineResult<()> {
        let kept = self.find_mut(name)?;
        if kept.is_up() {
            let id = kept.container.id.clone();
            self.emit(&id, "kill");
            self.end(&id, &End::Exit(0));
        }
        Ok(())
    }

    /// What a command in a container does.
    pub(super) fn exec(&mut self, name: &str, arguments: &[String]) -> EngineResult<Execution> {
        let kept = self.find_mut(name)?;
        let id = &kept.container.id;
        match kept.container.status {
            Status::Running => {}
            Status::Paused => {
                return Err(conflict(format!("Container {id} is paused, unpause it before exec")));
            }
            _ => return Err(conflict(format!("Container {id} is not running"))),
        }
        Ok(kept.image.execution(arguments))
    }

    pub(super) fn attach(&mut self, name: &str, wires: Wires) -> EngineResult<()> {
        self.find_mut(name)?.wires = Some(wires);
        Ok(())
    }
}

fn rfc3339(nanoseconds: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    format!("{time:.9}")
}
