//! `health`: the engine's word, and the image's own test run as the engine would run it.

use std::time::Duration;

use wasmtime::component::HasData;

use super::bindings::farrier::probe::health::{self, HealthStatus, Host, TestResult};
use super::types::Denial;
use super::{engine_denial, expect, no_turn};
use crate::engine::{Container, HealthStatus as EngineStatus, Process};
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::executions::Outcome;
use crate::probe::powers::Subject;
use crate::probe::store::{HostState, Poll};

pub const CAPABILITY: Capability = Capability {
    name: "health",
    sentence: "reads the health status, and runs the image's own health test",
    grant: Some(Grant {
        example: "health = true",
        written: |grants| grants.health.then(|| "health = true".to_owned()),
    }),
    executes: true,
    link: |linker| health::add_to_linker::<HostState, Health<'static>>(linker, Health::of),
};

/// What Docker uses where a HEALTHCHECK names no timeout.
const DEFAULT_TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The argument list that the engine would execute for this process's health test; none without a test.
fn test_arguments(process: &Process) -> Option<Vec<String>> {
    let test = &process.health.as_ref()?.test;
    match test.split_first()? {
        (kind, rest) if kind == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
        (kind, [command]) if kind == "CMD-SHELL" => {
            let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
            let mut arguments = if process.shell.is_empty() { default() } else { process.shell.clone() };
            arguments.push(command.clone());
            Some(arguments)
        }
        _ => None,
    }
}

/// How long one run of the test may take.
fn test_timeout(process: &Process) -> Duration {
    match process.health.as_ref().map(|health| health.timeout) {
        None | Some(Duration::ZERO) => DEFAULT_TEST_TIMEOUT,
        Some(timeout) => timeout,
    }
}

async fn inspect(subject: &Subject) -> Result<Container, Denial> {
    match subject.engine.container(&subject.container).await {
        Ok(Some(container)) => Ok(container),
        Ok(None) => Err(Denial::Other("the container is gone".to_owned())),
        Err(error) => Err(engine_denial(&error)),
    }
}

async fn status(subject: Result<&Subject, Denial>) -> Result<HealthStatus, Denial> {
    let container = inspect(subject?).await?;
    if test_arguments(&container.process).is_none() {
        return Ok(HealthStatus::None);
    }
    Ok(match container.health.map(|health| health.status) {
        None | Some(EngineStatus::Starting) => HealthStatus::Starting,
        Some(EngineStatus::Healthy) => HealthStatus::Healthy,
        Some(EngineStatus::Unhealthy) => HealthStatus::Unhealthy,
    })
}

async fn run_test(subject: Result<&Subject, Denial>, left: Duration) -> Result<Option<TestResult>, Denial> {
    let subject = subject?;
    let container = inspect(subject).await?;
    let Some(arguments) = test_arguments(&container.process) else {
        return Ok(None);
    };
    let limit = left.min(test_timeout(&container.process));
    match subject.executions.run(&subject.engine, &subject.container, arguments, limit).await {
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
        Health { subject: state.powers.subject.as_ref(), poll: &mut state.poll }
    }
}

impl Host for Health<'_> {
    async fn status(&mut self) -> wasmtime::Result<Result<HealthStatus, Denial>> {
        let found = status(expect(self.subject)).await;
        self.poll.observed.no_health_test |= matches!(found, Ok(HealthStatus::None));
        Ok(found)
    }

    async fn run_test(&mut self) -> wasmtime::Result<Result<Option<TestResult>, Denial>> {
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
