//! The container of a scenario: its health, its log, and how commands end in it, on Docker's double.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::differences::Differences;
use crate::definition::scenario::{Command, CommandEnd, Health, HealthTest as Test, Poll, Scenario};
use crate::engine::docker::Docker;
use crate::engine::docker::api::{Container as Inspected, ContainerSpec, HealthTest};
use crate::engine::docker::double::{Double, DoubleImage, End, Run};
use crate::plan::instance::HealthStatus;
use crate::probe::context::Subject;
use crate::probe::executions::Executions;

const NAME: &str = "scenario";
const TEST: &str = "the health test";

/// The container, for all polls of a scenario.
pub struct Container {
    engine: Double,
    commands: Commands,
    subject: Option<Subject>,
}

/// What the commands of the running poll do. Clones share it.
#[derive(Clone, Default)]
struct Commands(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    /// The runs of each command that are left.
    left: BTreeMap<Vec<String>, VecDeque<Command>>,
    health: Option<Health>,
    test: Option<Test>,
    differences: Differences,
}

impl Container {
    /// A container that has written nothing yet. It has a health test if the scenario speaks of one.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let (engine, commands) = (Double::new(), Commands::default());
        let is_tested = |poll: &Poll| {
            poll.health_test.is_some() || poll.health.is_some_and(|health| health != Health::None)
        };
        let image = image(commands.clone(), scenario.polls.iter().any(is_tested));
        let found = engine.change(|world| {
            world.add_image(NAME, image);
            world.create_network(NAME, &BTreeMap::new());
            let name = || NAME.to_owned();
            let spec =
                ContainerSpec { name: name(), image: name(), network: name(), ..ContainerSpec::default() };
            let _ = world.create(&spec).and_then(|_| world.start_now(NAME));
            world.container(NAME).as_ref().map(Inspected::instance)
        });
        let subject = found.map(|instance| Subject {
            engine: Arc::new(Docker::over(Arc::new(engine.clone()), true)),
            log_start: instance.log_start(),
            instance: instance.id,
            log: Arc::default(),
            executions: Arc::new(Executions::default()),
        });
        Self { engine, commands, subject }
    }

    /// Makes it what it is at a poll. `is_first` is whether this is the first of several polls that are alike.
    #[must_use]
    pub fn at(&self, poll: &Poll, is_first: bool, differences: &Differences) -> Option<Subject> {
        let mut running = self.commands.running();
        running.left = BTreeMap::new();
        for command in &poll.commands {
            running.left.entry(command.argv.clone()).or_default().push_back(command.clone());
        }
        running.health = poll.health.or(running.health);
        running.test.clone_from(&poll.health_test);
        running.differences = differences.clone();
        let status = running.health.and_then(status);
        drop(running);
        self.engine.change(|world| {
            for line in poll.log.iter().filter(|_| is_first) {
                world.log(NAME, line);
            }
            if let Some(status) = status {
                world.health(NAME, status, i64::from(status != HealthStatus::Healthy), "");
            }
        });
        self.subject.clone()
    }

    /// Reports, when the poll is over, what the probe left out.
    pub fn end(&self, differences: &Differences) {
        for (argv, left) in &self.commands.running().left {
            if !left.is_empty() {
                differences.add(format!(
                    "expected the probe to run {argv:?} {} more times, but it did not",
                    left.len()
                ));
            }
        }
    }
}

const fn status(health: Health) -> Option<HealthStatus> {
    match health {
        Health::None => None,
        Health::Starting => Some(HealthStatus::Starting),
        Health::Healthy => Some(HealthStatus::Healthy),
        Health::Unhealthy => Some(HealthStatus::Unhealthy),
    }
}

impl Commands {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, argv: &[String]) -> Run {
        let mut running = self.running();
        if let [only] = argv
            && only == TEST
        {
            return running.test();
        }
        let next = running.left.get_mut(argv).and_then(VecDeque::pop_front);
        let Some(Command { takes, end, .. }) = next else {
            running.differences.add(format!("the probe ran {argv:?} once more than the scenario says"));
            return Run::ending(End::CannotRun("the scenario says nothing of this command".to_owned()));
        };
        match end {
            CommandEnd::Exits { exit_code, stdout, stderr } => {
                Run { stdout, stderr, after: takes, end: End::Exit(exit_code.into()) }
            }
            CommandEnd::CannotRun(reason) => Run::ending(End::CannotRun(reason)).takes(takes),
        }
    }
}

impl Running {
    /// A run of the health test ends as the poll says; otherwise it agrees with the status.
    fn test(&self) -> Run {
        match &self.test {
            Some(Test { exit_code, output, takes }) => {
                let end = End::Exit((*exit_code).into());
                Run { stdout: output.clone(), stderr: Vec::new(), after: *takes, end }
            }
            None => Run::exit(i64::from(self.health != Some(Health::Healthy))),
        }
    }
}

fn image(commands: Commands, has_health_test: bool) -> DoubleImage {
    let mut image = DoubleImage::new(move |arguments| match arguments {
        [main] if main == NAME => Run::forever(),
        argv => commands.run(argv),
    });
    image.image.process.command = vec![NAME.to_owned()];
    image.image.process.health = has_health_test
        .then(|| HealthTest { test: vec!["CMD".to_owned(), TEST.to_owned()], ..HealthTest::default() });
    image
}
