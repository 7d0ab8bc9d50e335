//! Waiting until the task of a making runs.

use std::time::{Duration, Instant};

use futures_util::future::try_join;

use super::api::{Service, Task};
use super::apply::{Carrying, Made, changed_meanwhile, is_of};
use super::comparison::{networks_of, wanted_networks};
use super::delay::Delay;
use super::instance::instance_id;
use super::look::look_at;
use super::starting::{Start, awaited, progress};
use crate::engine::EngineError;
use crate::engine::problem::engine_problem;
use crate::plan::sidecar::Sidecar;
use crate::report::elapsed::limit;
use crate::report::error::{Code, Problem};

/// How long nodes may take to fetch the image and start the task.
const STARTING: Duration = Duration::from_mins(10);
/// How long the image's own health test may take to pass, if no probe may take longer: unless the image says otherwise, it is
/// run every 30 s, and fails the task after three times.
const HEALTH: Duration = Duration::from_mins(3);
/// The pauses between looks at a task that is about to start.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(250);
/// Why there is no run.
pub(super) struct NotStarted {
    pub problem: Problem,
    /// Nothing runs that could be looked at, or may be ready later.
    pub is_half_made: bool,
}

impl From<Problem> for NotStarted {
    fn from(problem: Problem) -> Self {
        Self { problem, is_half_made: true }
    }
}

impl Carrying<'_> {
    /// How long a task that was started may take to pass its image's own health test.
    fn health_limit(&self) -> Duration {
        let probes = self.sidecar().definition.readiness.iter().map(|readiness| readiness.timeout);
        probes.max().unwrap_or_default().max(HEALTH)
    }

    /// Waits until the making's task runs, or has ended already, and gives the instance. Before its image's own health test has
    /// passed, the Swarm resolves its name for nobody.
    pub(super) async fn started(&self, made: Made) -> Result<String, NotStarted> {
        let (sidecar, begun, mut pause) = (self.sidecar(), Instant::now(), SHORTEST);
        let (mut instance, mut untested): (String, Option<Instant>) = (made.id, None);
        let mut delay = Delay::from(begun);
        let failed = |error: EngineError| {
            engine_problem(&format!("wait for the task of `{}`", sidecar.container), &error)
        };
        loop {
            match look_at(self.api(), &instance).await {
                // A manager that is started again answers again.
                Err(error) if error.kind.is_of_the_connection() && begun.elapsed() < STARTING => {
                    tracing::debug!("the manager does not answer: {error}");
                    delay.tell(self, async || "the manager of the Swarm does not answer".to_owned()).await;
                }
                Err(error) => return Err(failed(error).into()),
                Ok(None) => instance = self.made_again().await?,
                Ok(Some((service, seen))) => {
                    let is_its = |task: &&Task| task.service == service.id && task.making == service.making();
                    let tasks: Vec<&Task> = seen.tasks.iter().filter(is_its).collect();
                    match progress(&tasks) {
                        Start::Done => return Ok(instance),
                        Start::Never(why) => {
                            let nodes = self.api().nodes().await.unwrap_or_default();
                            return Err(why.problem(sidecar, &nodes).into());
                        }
                        Start::Starting => {
                            let since = *untested.get_or_insert_with(Instant::now);
                            if since.elapsed() >= self.health_limit() {
                                let problem = not_healthy(sidecar, self.health_limit());
                                return Err(NotStarted { problem, is_half_made: false });
                            }
                        }
                        Start::NotYet if begun.elapsed() < STARTING => {}
                        Start::NotYet => return Err(not_started(sidecar).into()),
                    }
                    delay.tell(self, async || self.reason(&tasks).await).await;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// What a task waits for that has not started yet.
    async fn reason(&self, tasks: &[&Task]) -> String {
        awaited(tasks, &self.api().nodes().await.unwrap_or_default())
    }

    /// The instance in the place of one that is gone, if another launch made it as this one would have.
    async fn made_again(&self) -> Result<String, Problem> {
        let (sidecar, name) = (self.sidecar(), &self.sidecar().container);
        let failed = |error| engine_problem(&format!("wait for the task of `{name}`"), &error);
        let (found, overlays) =
            try_join(self.api().service(name), self.api().overlays()).await.map_err(failed)?;
        let is_usable = |service: &Service| {
            let on = networks_of(&overlays, sidecar, service);
            is_of(service, sidecar) && wanted_networks(sidecar, self.network).is_subset(&on)
        };
        let service = found.filter(is_usable).ok_or_else(|| changed_meanwhile(sidecar))?;
        let instance = instance_id(&service);
        self.carrier.mark(sidecar, &instance)?;
        Ok(instance)
    }
}

fn not_started(sidecar: &Sidecar) -> Problem {
    let (service, time) = (&sidecar.container, limit(STARTING));
    let message = format!("no node has started the task of `{service}` within {time}");
    Problem::error(Code::StartFailed, message)
        .hint(format!("See what it waits for: `docker service ps --no-trunc {service}`."))
}

fn not_healthy(sidecar: &Sidecar, time: Duration) -> Problem {
    let (service, time) = (&sidecar.container, limit(time));
    let message = format!(
        "the health test of the image has not passed within {time}, and the Swarm resolves the name of `{service}` only once \
         it has"
    );
    Problem::error(Code::NotReady, message)
        .hint(format!("See what it wrote: `docker service logs {service}`."))
        .hint("If it needs longer, give its probe in `readiness` a longer `timeout`: the health test may then take as long.")
}
