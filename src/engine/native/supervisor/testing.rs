//! Runs the health test of a container again and again, as a child of the supervisor in the container's namespaces.

use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::Instant;

use super::starting::Stream;
use crate::engine::native::health::{HealthRecord, HealthTest};
use crate::engine::native::instance_folder::InstanceFolder;
use crate::engine::native::roles::TESTED;
use crate::system::own_program::OWN_PROGRAM;

/// How much of a run's output is kept, in bytes: as Docker has it.
const MOST_BYTES: usize = 4096;
/// Bytes that are read at once.
const CHUNK: usize = 1024;
/// The exit code of a run that did not end by itself: as Docker has it.
const NO_EXIT_CODE: i64 = -1;

/// The runs of a test.
pub struct Testing {
    folder: InstanceFolder,
    test: HealthTest,
    record: HealthRecord,
    started: Instant,
    next: Instant,
    run: Option<Run>,
}

/// One run that goes on.
struct Run {
    process: Option<Pid>,
    began: Duration,
    output: Stream,
    said: Vec<u8>,
    /// When it is killed; `None` once it was.
    until: Option<Instant>,
}

impl Testing {
    /// The first run begins an interval from now.
    pub fn begin(folder: &InstanceFolder, test: HealthTest) -> Self {
        let started = Instant::now();
        let next = started + test.interval;
        let record = HealthRecord::default();
        // Who does not read it asks the test itself.
        let _ = folder.write_health(&record, true);
        Self { folder: folder.clone(), test, record, started, next, run: None }
    }

    /// Waits for the next thing that there is to do, and does it.
    pub async fn turn(&mut self) {
        let Some(run) = &mut self.run else {
            tokio::time::sleep_until(self.next).await;
            return self.start();
        };
        let mut chunk = [0; CHUNK];
        let killed = async {
            match run.until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = killed => run.kill(),
            read = run.output.read(&mut chunk) => run.keep(chunk.get(..read).unwrap_or_default()),
        }
    }

    /// Takes in that a child of the supervisor has ended.
    pub fn ended(&mut self, process: i32, exit_code: i64) {
        let is_its = |run: &mut Run| run.process.is_some_and(|own| own.as_raw_nonzero().get() == process);
        let Some(mut run) = self.run.take_if(is_its) else { return };
        let mut chunk = [0; CHUNK];
        while run.said.len() < MOST_BYTES {
            let read = run.output.rest(&mut chunk);
            if read == 0 {
                break;
            }
            run.keep(chunk.get(..read).unwrap_or_default());
        }
        if run.until.is_none() {
            let message = format!("the health test did not end within {:?}", self.test.timeout);
            self.note(run.began, NO_EXIT_CODE, message);
        } else {
            self.note(run.began, exit_code, String::from_utf8_lossy(&run.said).into_owned());
        }
    }

    fn start(&mut self) {
        let began = self.started.elapsed();
        match self.spawned() {
            Ok((process, output)) => {
                let until = Some(Instant::now() + self.test.timeout);
                self.run = Some(Run { process, began, output, said: Vec::new(), until });
            }
            Err(error) => self.note(began, NO_EXIT_CODE, format!("the health test cannot be run: {error}")),
        }
    }

    /// Starts the command, in the namespaces that the supervisor has entered; it enters the root itself.
    fn spawned(&self) -> io::Result<(Option<Pid>, Stream)> {
        let (output, its): (PipeReader, _) = io::pipe()?;
        let child = Command::new(OWN_PROGRAM)
            .arg0("farrier")
            .arg(TESTED)
            .arg(&self.folder.0)
            .args(&self.test.arguments)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(its.try_clone()?)
            .stderr(its)
            .spawn()?;
        Ok((i32::try_from(child.id()).ok().and_then(Pid::from_raw), Stream::of(output)?))
    }

    fn note(&mut self, began: Duration, exit_code: i64, output: String) {
        self.next = Instant::now() + self.test.interval;
        let is_changed = self.record.note(&self.test, began, exit_code, output);
        // A full disk keeps the last status.
        let _ = self.folder.write_health(&self.record, is_changed);
    }
}

impl Run {
    fn kill(&mut self) {
        self.until = None;
        if let Some(process) = self.process {
            let _ = kill_process_group(process, Signal::KILL);
            let _ = kill_process(process, Signal::KILL);
        }
    }

    fn keep(&mut self, said: &[u8]) {
        let room = MOST_BYTES.saturating_sub(self.said.len());
        self.said.extend(said.iter().take(room));
    }
}
