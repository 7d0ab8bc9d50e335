//! The supervisor of one instance: farrier itself, executed once more, before it is anything else. It starts the program,
//! keeps what the program writes, passes the wish to end on, and ends every process that came of the program: also those
//! that left its group or session, because the kernel makes it their parent when theirs ends.
//!
//! It is one thread, and holds a lock as long as it lives. Whatever kills it, the lock tells.

mod family;
mod keeping;
mod starting;
mod testing;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::SigSet;
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::Instant;

use self::family::Family;
use self::starting::{Started, Stream, start};
use self::testing::Testing;
use super::container::program::exit_code;
use super::control_group::ControlGroup;
use super::forwarding;
use super::instance_folder::InstanceFolder;
use super::log::LogWriter;
use super::neighbours::passage;
use super::processes::{Process, place};
use super::roles::Failure;
use super::specification::Specification;
use super::state::{Beginning, End, RunState, moment};
use crate::system::job_control::begin_session;

/// Bytes that are read of a stream at once.
const CHUNK: usize = 16 << 10;
/// The pauses between two attempts to end what does not end.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Signals that would end the supervisor and ask for nothing.
const IGNORED: [fn() -> SignalKind; 7] = [
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::quit,
    SignalKind::alarm,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
    SignalKind::io,
];

/// Supervises the instance in this folder, to its end.
pub fn supervise(folder: &Path) -> io::Result<()> {
    leave_inherited()?;
    let instance = InstanceFolder(folder.to_owned());
    match instance.specification().and_then(|specification| specification.restart) {
        Some(policy) => keeping::keep(&instance, &policy),
        None => supervise_once(&instance, None),
    }
}

/// Supervises one run of the instance in this folder, to its end, for the keeper that began this process.
pub fn supervise_run(folder: &Path) -> io::Result<()> {
    leave_inherited()?;
    let parent = rustix::process::getppid().and_then(|id| u32::try_from(id.as_raw_nonzero().get()).ok());
    let keeper = parent.and_then(Process::of).ok_or_else(|| io::Error::other("nobody keeps it"))?;
    supervise_once(&InstanceFolder(folder.to_owned()), Some(keeper))
}

fn supervise_once(folder: &InstanceFolder, keeper: Option<Process>) -> io::Result<()> {
    // Neither a terminal nor who started this tells it to end.
    begin_session();
    // Where this is refused, `Family::end_strays` finds whom it would have given to this process.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    std::env::set_current_dir("/")?;
    let report = Report(Some(File::from(io::stdout().as_fd().try_clone_to_owned()?)));
    nix::unistd::dup2_stdout(io::stdin())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(folder, keeper, report))
}

/// Leaves what farrier inherited itself and would hand on: open files, and signals that are blocked.
fn leave_inherited() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for file in open.into_iter().filter(|file| *file > 2) {
        let _ = nix::unistd::close(file);
    }
    Ok(())
}

/// Tells whoever started the supervisor how that went, once.
struct Report(Option<File>);

impl Report {
    fn tell(&mut self, beginning: &Beginning) {
        if let Some(mut file) = self.0.take() {
            // Nobody may be left who wants to know.
            let _ = serde_json::to_vec(beginning).map(|line| file.write_all(&line));
        }
    }

    fn fail(&mut self, doing: &str, error: &io::Error) {
        let Failure { errno, is_of_step, message } = Failure::of(error);
        let message = format!("{doing}: {message}");
        self.tell(&Beginning { failure: Some(Failure { errno, is_of_step, message }) });
    }
}

async fn run(folder: &InstanceFolder, keeper: Option<Process>, mut report: Report) -> io::Result<()> {
    let begun = begin(folder, keeper);
    match begun {
        Ok(Some(mut supervisor)) => {
            report.tell(&Beginning::default());
            drop(report);
            supervisor.watch(folder).await;
            supervisor.finish(folder)
        }
        Ok(None) => Ok(()),
        Err((doing, error)) => {
            report.fail(doing, &error);
            Err(error)
        }
    }
}

/// A program that runs.
struct Supervisor {
    _lock: File,
    state: RunState,
    family: Family,
    log: LogWriter,
    streams: [Stream; 2],
    limits: ControlGroup,
    testing: Option<Testing>,
    signals: Listening,
    stop_signal: Signal,
    grace: Duration,
}

/// The signals that mean something.
struct Listening {
    stop: Signals,
    child: Signals,
    _ignored: Vec<Signals>,
}

type Doing = &'static str;

/// Starts the program. `None` if the instance has had its run.
fn begin(folder: &InstanceFolder, keeper: Option<Process>) -> Result<Option<Supervisor>, (Doing, io::Error)> {
    let doing = |doing: Doing| move |error: io::Error| (doing, error);
    let signals = listen().map_err(doing("listen to signals"))?;
    let lock = folder.lock_file().map_err(doing("open its lock"))?;
    lock.lock().map_err(doing("take its lock"))?;
    let before = folder.state();
    let is_next = |before: &RunState| {
        keeper.is_some() && before.keeper == keeper && before.end.is_some() && !before.stopping
    };
    if folder.file("state.json").exists() && !before.as_ref().is_some_and(is_next) {
        return Ok(None);
    }
    let specification = folder.specification().ok_or_else(|| io::Error::other("it cannot be read"));
    let specification = specification.map_err(doing("read its specification"))?;
    let mut log = LogWriter::create(&folder.file("log")).map_err(doing("begin its log"))?;
    let own = Process::of(std::process::id()).ok_or_else(|| io::Error::other("/proc is missing"));
    let mut state = RunState {
        place: place(),
        supervisor: own.map_err(doing("look at itself"))?,
        program: None,
        started_at: log.begin_run(),
        stopping: false,
        end: None,
        restarts: before.map_or(0, |before| before.restarts + 1),
        keeper,
    };
    // Before anything runs: whoever finds this knows that there may be processes.
    folder.write_state(&state).map_err(doing("write its state"))?;
    let (stop_signal, grace) = (specification.signal().unwrap_or(Signal::TERM), specification.grace);
    match start(folder, &specification) {
        Ok(Started { program, streams, ports, limits }) => {
            for port in ports {
                tokio::spawn(forwarding::forward(port));
            }
            meet(folder, &specification);
            state.program = Process::of(program);
            if let Err(error) = folder.write_state(&state) {
                Family::kill();
                return Err(("write its state", error));
            }
            let family = Family::of(program);
            let test = specification.container().and_then(|container| container.health.clone());
            let testing = test.map(|test| Testing::begin(folder, test));
            Ok(Some(Supervisor {
                _lock: lock,
                state,
                family,
                log,
                streams,
                limits,
                testing,
                signals,
                stop_signal,
                grace,
            }))
        }
        Err(error) => {
            state.end = Some(End {
                at: moment(Timestamp::now()),
                exit_code: exit_code(&error).into(),
                out_of_memory: false,
                error: error.to_string(),
            });
            folder.write_state(&state).map_err(doing("write its state"))?;
            Err(("start the program", error))
        }
    }
}

/// Lets neighbours reach the instance. It runs without them, too: whoever needs one says so.
fn meet(folder: &InstanceFolder, specification: &Specification) {
    if !specification.ports().is_empty() {
        let _ = passage::admit(folder, specification.ports().to_vec());
    }
}

fn listen() -> io::Result<Listening> {
    let ignored = IGNORED.iter().map(|kind| signal(kind())).collect::<io::Result<_>>()?;
    Ok(Listening {
        stop: signal(SignalKind::terminate())?,
        child: signal(SignalKind::child())?,
        _ignored: ignored,
    })
}

impl Supervisor {
    /// Until no process is left that came of the program.
    async fn watch(&mut self, folder: &InstanceFolder) {
        let (mut output, mut error) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut pause = FIRST_PAUSE;
        // When the next attempt is made to end what is left; none before that is to end.
        let mut kill_at: Option<Instant> = None;
        let mut is_asked = false;
        // A child may have ended before anybody listened.
        let mut is_over = self.family.reap();
        while !is_over {
            if self.family.has_ended() && !is_asked && kill_at.is_none() {
                kill_at = Some(Instant::now());
            }
            let [to_output, to_error] = &mut self.streams;
            tokio::select! {
                biased;
                _ = self.signals.child.recv() => {
                    let had_ended = self.family.has_ended();
                    is_over = self.family.reap();
                    for (process, exit_code) in self.family.take_ended() {
                        self.testing.iter_mut().for_each(|testing| testing.ended(process, exit_code));
                    }
                    if is_asked && !had_ended && self.family.has_ended() && !is_over {
                        Family::ask_others(self.stop_signal);
                    }
                }
                _ = self.signals.stop.recv(), if !is_asked => {
                    is_asked = true;
                    self.state.stopping = true;
                    // Who does not read it learns of the end all the same.
                    let _ = folder.write_state(&self.state);
                    self.family.ask(self.stop_signal);
                    kill_at = Some(Instant::now() + self.grace);
                }
                () = sleep_until(kill_at) => {
                    Family::kill();
                    is_over = self.family.reap();
                    kill_at = Some(Instant::now() + pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                () = turn(&mut self.testing) => {}
                read = to_output.read(&mut output) => self.log.write(false, output.get(..read).unwrap_or_default()),
                read = to_error.read(&mut error) => self.log.write(true, error.get(..read).unwrap_or_default()),
            }
        }
    }

    /// Keeps the last words, and writes down how it ended.
    fn finish(&mut self, folder: &InstanceFolder) -> io::Result<()> {
        Family::end_strays(&folder.id());
        let mut chunk = vec![0; CHUNK];
        for (is_error, stream) in [false, true].into_iter().zip(&self.streams) {
            loop {
                let read = stream.rest(&mut chunk);
                if read == 0 {
                    break;
                }
                self.log.write(is_error, chunk.get(..read).unwrap_or_default());
            }
        }
        self.log.finish();
        let exit_code = self.family.exit_code();
        let out_of_memory = self.limits.was_exhausted();
        self.limits.remove();
        let at = moment(Timestamp::now());
        self.state.end = Some(End { at, exit_code, out_of_memory, error: String::new() });
        folder.write_state(&self.state)
    }
}

async fn turn(testing: &mut Option<Testing>) {
    match testing {
        Some(testing) => testing.turn().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
