//! A container that is not there: its health and its log come from options.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;

use super::commands::Executed;
use super::grant::DryGrants;
use crate::definition::scenario::CommandEnd;
use crate::engine::docker::Docker;
use crate::engine::docker::api::{Container, ContainerSpec, HealthTest};
use crate::engine::docker::double::{Double, DoubleImage, End, Run};
use crate::plan::instance::HealthStatus;
use crate::probe::context::Subject;
use crate::probe::executions::Executions;

const NAME: &str = "stand-in";
const TEST: &str = "the health test";
/// What is read of the end of a log, since all of it is held in memory.
const LOG_BYTES: u64 = 4 << 20;
/// Why a granted command answers nothing.
const NO_CONTAINER: &str = "commands need a container, and `farrier probe check` has none: try them with `farrier up`, or on this host with `--run-commands`";

/// The container, on an engine in memory; none where nothing of it was granted.
///
/// # Errors
/// When the file of its log cannot be read.
pub fn subject(granted: &DryGrants, executed: &Executed, limit: Duration) -> io::Result<Option<Subject>> {
    if granted.commands.is_empty() && granted.health.is_none() && granted.logs.is_none() {
        return Ok(None);
    }
    let lines = lines(granted)?;
    let engine = Double::new();
    let commands = Commands { executed: executed.clone(), limit: granted.runs_commands.then_some(limit) };
    let found = engine.change(|world| {
        world.add_image(NAME, image(granted.health.flatten(), commands));
        world.create_network(NAME, &BTreeMap::new());
        let name = || NAME.to_owned();
        let spec = ContainerSpec { name: name(), image: name(), network: name(), ..ContainerSpec::default() };
        let _ = world.create(&spec).and_then(|_| world.start_now(NAME));
        if let Some(Some(status)) = granted.health {
            world.health(NAME, status, i64::from(status != HealthStatus::Healthy), "");
        }
        for line in &lines {
            world.log(NAME, line);
        }
        world.container(NAME).as_ref().map(Container::instance)
    });
    Ok(found.map(|container| Subject {
        engine: Arc::new(Docker::over(Arc::new(engine), true)),
        log_start: container.log_start(),
        instance: container.id,
        log: Arc::default(),
        executions: Arc::new(Executions::default()),
    }))
}

/// The lines that the container has written by now.
///
/// # Errors
/// When the file of its log cannot be read.
pub fn lines(granted: &DryGrants) -> io::Result<Vec<String>> {
    let Some(file) = &granted.logs else { return Ok(Vec::new()) };
    Ok(String::from_utf8_lossy(&end_of(file)?).lines().map(str::to_owned).collect())
}

/// What commands do.
struct Commands {
    executed: Executed,
    /// How long one may take; `None` if nothing runs them.
    limit: Option<Duration>,
}

impl Commands {
    fn run(&self, argv: &[String]) -> Run {
        if let Some(limit) = self.limit {
            return self.executed.run(argv, limit);
        }
        self.executed.note(argv, Duration::ZERO, CommandEnd::CannotRun(NO_CONTAINER.to_owned()));
        Run::ending(End::CannotRun(NO_CONTAINER.to_owned()))
    }
}

/// The last part of a file, without ever waiting on a pipe or a device.
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    file.seek(SeekFrom::Start(found.len().saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn image(health: Option<HealthStatus>, commands: Commands) -> DoubleImage {
    let mut image = DoubleImage::new(move |arguments| match arguments {
        [main] if main == NAME => Run::forever(),
        [test] if test == TEST => Run::exit(i64::from(health != Some(HealthStatus::Healthy))),
        argv => commands.run(argv),
    });
    image = image.with_real_commands();
    image.image.process.command = vec![NAME.to_owned()];
    image.image.process.health =
        health.map(|_| HealthTest { test: vec!["CMD".to_owned(), TEST.to_owned()], ..HealthTest::default() });
    image
}
