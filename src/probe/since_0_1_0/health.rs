//! `health`: the engine's word, and the image's own test run as the engine would run it.

use std::time::Duration;

use wasmtime::component::HasData;

use super::bindings::farrier::probe::health::{self, HealthStatus, Host, TestResult};
use super::types::Denial;
use super::{engine_denial, expect, no_turn};
use crate::engine::EngineFeature;
use crate::plan::instance::{HealthStatus as EngineStatus, Instance};
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::context::Subject;
use crate::probe::executions::Outcome;
use crate::probe::store::{HostState, Poll};

pub const CAPABILITY: Capability = Capability {
    name: "health",
    sentence: "reads the health status, and runs the image's own health test",
    grant: Some(Grant::Switch),
    needs: Some(EngineFeature::Health),
    link: |linker| health::add_to_linker::<HostState, Health<'static>>(linker, Health::of),
};

async fn inspect(subject: &Subject) -> Result<Instance, Denial> {
    match subject.engine.inspect(&subject.instance).await {
        Ok(Some(instance)) => Ok(instance),
        Ok(None) => Err(Denial::Other("the container is gone".to_owned())),
        Err(error) => Err(engine_denial(&error)),
    }
}

async fn status(subject: Result<&Subject, Denial>) -> Result<HealthStatus, Denial> {
    let instance = inspect(subject?).await?;
    if instance.health_command.is_none() {
        return Ok(HealthStatus::None);
    }
    Ok(match instance.health.map(|health| health.status) {
        None | Some(EngineStatus::Starting) => HealthStatus::Starting,
        Some(EngineStatus::Healthy) => HealthStatus::Healthy,
        Some(EngineStatus::Unhealthy) => HealthStatus::Unhealthy,
    })
}

async fn run_test(subject: Result<&Subject, Denial>, left: Duration) -> Result<Option<TestResult>, Denial> {
    let subject = subject?;
    let Some(command) = inspect(subject).await?.health_command else {
        return Ok(None);
    };
    let limit = left.min(command.timeout);
    match subject.executions.run(&subject.engine, &subject.instance, command.arguments, limit).await {
        Outcome::Ended(output) => {
            let mut text = output.stdout;
            text.extend(output.stderr);
            Ok(Some(TestResult {
                exit_code: i32::try_from(output.exit_code).unwrap_or(-1),
                output: String::from_utf8_lossy(&text).into_owned(),
            }))
        }
        // As the engine counts it: a test that cannot be run is a failed test.
        Outcome::CannotRun(text) => Ok(Some(TestResult { exit_code: -1, output: text })),
        Outcome::Failed(error) => Err(engine_denial(&error)),
        Outcome::StillRunning => Err(Denial::TimedOut),
        Outcome::NoTurn => Err(no_turn()),
    }
}

/// What it sees of the store: the container, and the poll.
struct Health<'a> {
    subject: Option<&'a Subject>,
    poll: &'a mut Poll,
}

impl HasData for Health<'static> {
    type Data<'a> = Health<'a>;
}

impl Health<'_> {
    fn of(state: &mut HostState) -> Health<'_> {
        Health { subject: state.probe_context.subject.as_ref(), poll: &mut state.poll }
    }
}

impl Host for Health<'_> {
    async fn status(&mut self) -> wasmtime::Result<Result<HealthStatus, Denial>> {
        self.poll.used.health_reads += 1;
        let found = status(expect(self.subject)).await;
        self.poll.observed.no_health_test |= matches!(found, Ok(HealthStatus::None));
        Ok(found)
    }

    async fn run_test(&mut self) -> wasmtime::Result<Result<Option<TestResult>, Denial>> {
        self.poll.used.health_tests += 1;
        let (subject, left) = (expect(self.subject), self.poll.left());
        let found = run_test(subject, left).await;
        match &found {
            Ok(None) => self.poll.observed.no_health_test = true,
            Err(Denial::TimedOut | Denial::Limit(_)) => self.poll.deadline.let_answer(),
            Ok(Some(result)) if result.exit_code != 0 => {
                self.poll.observed.health_test = Some((result.exit_code.into(), result.output.clone()));
            }
            _ => {}
        }
        Ok(found)
    }
}
