//! The asynchronous runtime of a command, and the signals that end one: one set for the whole command, so that
//! none falls between two steps.

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;

use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::harness::signals::CaughtSignals;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;
use crate::system::ignored_signals::ignored_signals;
use crate::system::process_limits;

/// The numbers, the same on all systems that are supported.
const HANGUP: u8 = 1;
const INTERRUPT: u8 = 2;
const QUIT: u8 = 3;
const TERMINATE: u8 = 15;

/// The signals that a command listens to.
pub struct Signals {
    streams: Vec<(u8, Signal)>,
}

impl Signals {
    /// Listens from now on. A signal that was ignored when the command began stays ignored, for the harness too:
    /// that is what `nohup` asks for.
    fn listen() -> io::Result<Self> {
        let ignored = ignored_signals();
        let wanted = [
            (HANGUP, SignalKind::hangup()),
            (INTERRUPT, SignalKind::interrupt()),
            (QUIT, SignalKind::quit()),
            (TERMINATE, SignalKind::terminate()),
        ];
        let heard = wanted.into_iter().filter(|(number, _)| ignored & (1 << (number - 1)) == 0);
        let streams = heard.map(|(number, kind)| Ok((number, signal(kind)?)));
        Ok(Self { streams: streams.collect::<io::Result<_>>()? })
    }

    /// The number of the next signal.
    pub async fn next(&mut self) -> u8 {
        poll_fn(|context| {
            for (number, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Fails if a signal has arrived.
    async fn check(&mut self) -> Result<(), Failure> {
        // Signals come through the runtime's own input and output, which gets its turn first.
        tokio::task::yield_now().await;
        self.next().now_or_never().map_or(Ok(()), |signal| Err(interrupted(signal)))
    }
}

/// The end of a command by a signal before the harness ran.
fn interrupted(signal: u8) -> Failure {
    let name = name_of(signal);
    let problem = Problem::warning(Code::Interrupted, format!("stopped by {name} before the harness ran"))
        .hint("Shared sidecars that were started keep running; the next launch uses them.");
    Failure { exit: exit::SIGNALLED + signal, problems: vec![problem] }
}

/// The end by a signal of a command that runs no harness.
fn stopped(signal: u8) -> Failure {
    let problem = Problem::warning(Code::Interrupted, format!("stopped by {}", name_of(signal)))
        .hint("Run the command again; farrier checks the state each time.");
    Failure { exit: exit::SIGNALLED + signal, problems: vec![problem] }
}

const fn name_of(signal: u8) -> &'static str {
    match signal {
        HANGUP => "SIGHUP",
        INTERRUPT => "SIGINT",
        QUIT => "SIGQUIT",
        _ => "SIGTERM",
    }
}

/// A runtime with the signals that end what runs in it.
pub struct CommandRuntime {
    /// Taken when it ends.
    runtime: Option<Runtime>,
    signals: Signals,
}

/// Why a command cannot run at all.
fn unusable(error: &io::Error) -> Failure {
    let problem = process_limits::problem(error).unwrap_or_else(|| {
        let message = format!("cannot start the asynchronous runtime: {error}");
        Problem::error(Code::StateUnusable, message)
            .hint("Raise the limits on threads and open files (`ulimit -a`).")
    });
    Failure::from(problem)
}

impl CommandRuntime {
    /// Starts it.
    ///
    /// # Errors
    /// When the system has no threads or files left.
    pub fn start() -> Result<Self, Failure> {
        Self::with_clock(false)
    }

    /// Starts one whose clock ([`crate::system::clock`]) stands still as long as there is something to do.
    ///
    /// # Errors
    /// When the system has no threads or files left.
    pub fn with_a_stopped_clock() -> Result<Self, Failure> {
        Self::with_clock(true)
    }

    fn with_clock(is_stopped: bool) -> Result<Self, Failure> {
        // tokio panics without files for its signals.
        process_limits::open_files(0)?;
        // One thread that waits and works: what it waits for would otherwise wake one thread by another, each time.
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(is_stopped).build();
        let runtime = runtime.map_err(|error| unusable(&error))?;
        let signals = runtime.block_on(async { Signals::listen() }).map_err(|error| unusable(&error))?;
        Ok(Self { runtime: Some(runtime), signals })
    }

    /// Runs to the end, or to the first signal.
    ///
    /// # Errors
    /// The work's own, or that a signal ended it.
    pub fn run<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.block_on(async |signals| {
            tokio::select! {
                result = work => result,
                signal = signals.next() => Err(interrupted(signal)),
            }
        })
    }

    /// Catches every signal from now on, for the harness that starts next.
    ///
    /// # Errors
    /// If a signal has asked for the end already, or the system has no threads or files left.
    pub fn catch_signals(&mut self) -> Result<CaughtSignals, Failure> {
        // In this order no signal falls between the two.
        let caught = CaughtSignals::catch().map_err(|error| unusable(&error))?;
        self.block_on(async |signals| signals.check().await)?;
        Ok(caught)
    }

    /// The same for a command that runs no harness.
    ///
    /// # Errors
    /// The work's own, or that a signal ended it.
    pub fn run_alone<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.block_on(async |signals| {
            tokio::select! {
                result = work => result,
                signal = signals.next() => Err(stopped(signal)),
            }
        })
    }

    /// Runs to the end, or to a signal that comes from now on: earlier ones were the harness's, or ended the launch.
    ///
    /// # Errors
    /// The work's own, or that a signal ended it.
    pub fn run_afterwards<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.block_on(async |signals| {
            // Signals come through the runtime's own input and output, which gets its turn first.
            tokio::task::yield_now().await;
            while signals.next().now_or_never().is_some() {}
            tokio::select! {
                result = work => result,
                signal = signals.next() => Err(stopped(signal)),
            }
        })
    }

    /// Runs to the end; what a signal means is the work's business.
    ///
    /// # Errors
    /// The work's own.
    pub fn block_on<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Signals) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // It is taken only when the runtime ends.
        let Some(runtime) = &self.runtime else {
            return Err(Failure { exit: exit::REFUSED, problems: Vec::new() });
        };
        runtime.block_on(work(&mut self.signals))
    }
}

impl Drop for CommandRuntime {
    fn drop(&mut self) {
        // A thread that waits for a lock or compiles cannot be stopped, and is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
