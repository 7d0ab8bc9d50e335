//! The host: compiles a component, and polls it in a fresh store each time.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::cache::NativeCache;
use super::catalogue::is_built_in;
use super::component::ComponentFile;
use super::deadline::Deadline;
use super::engines::{Engines, NoThread, Runner, compile};
use super::interfaces::wasi::Traces;
use super::interfaces::{self, HostState, Observed, Powers, check, log_interface, settings, types};
use super::limits::{
    COMPILATION, COMPONENT_HANDLES, HOST_OBJECTS, HOSTCALL_FUEL, LAUNCH_MEMORY, LaunchMemory,
    REASON_CHARACTERS, SETTINGS_PROBLEMS, SummingLimiter, TRACE_LINES,
};
use super::turns::Turns;
use crate::definition::model::Limits;
use crate::report::elapsed::limit;
use crate::report::error::{Code, Problem};
use crate::system::blocking::blocking;
use crate::system::process_limits;

/// Why a guest's own sockets lead nowhere.
const SOCKETS_RELAYED: &str = "it uses sockets of its own (wasi:sockets), and here sidecars are reached through a \
                               relay, which only the interface `dial` of farrier:probe goes through";

/// What wasmtime says of a call that passed more than [`HOSTCALL_FUEL`].
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// Lines of a guest's standard error that are quoted when it crashes: Python's reason is the last but two.
const LAST_WORDS: usize = 3;

/// A probe's answer to one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves.
    Ready,
    /// Not yet.
    Pending {
        /// What was seen.
        reason: String,
        /// Not to poll again before.
        retry_after: Option<Duration>,
        /// How far away the deadline is to be at least.
        extend: Option<Duration>,
    },
    /// It never will be.
    Failed(String),
    /// The probe itself broke; the sentence says how.
    Crashed(String),
    /// The poll took longer than its limit.
    TimedOut,
}

/// Why a component cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// For a reason of its own.
    #[error("{0}")]
    Component(String),
    /// Because of a limit on this process, whatever the component is.
    #[error("{0}")]
    Limit(String),
}

impl LoadError {
    fn of(error: &wasmtime::Error) -> Self {
        limit_in(error).map_or_else(|| Self::Component(error.root_cause().to_string()), Self::Limit)
    }

    /// The problem, with the sentence about a component if it is the component's.
    #[must_use]
    pub fn problem(&self, code: Code, sentence: impl FnOnce(&str) -> String) -> Problem {
        match self {
            Self::Component(reason) => Problem::error(code, sentence(reason)),
            Self::Limit(reason) => process_limits::reached(reason),
        }
    }
}

/// What one poll produced.
#[derive(Debug)]
pub struct Polled {
    /// The answer.
    pub verdict: Verdict,
    /// Lines that the probe wrote for the trace.
    pub trace: Vec<String>,
    /// What it saw on the way.
    pub observed: Observed,
}

/// Compiles components, and links them to what they may import.
pub struct ProbeHost {
    engines: Engines,
    cache: OnceLock<Option<NativeCache>>,
    cache_folder: Option<PathBuf>,
    state_folder: Option<PathBuf>,
    compilation: Duration,
    memory: Arc<LaunchMemory>,
    turns: Turns,
}

/// A compiled probe, linked to what it was granted and nothing else.
#[derive(Clone)]
pub struct LoadedProbe {
    pre: InstancePre<HostState>,
    check: Arc<check::GuestIndices>,
    settings: Option<Arc<settings::GuestIndices>>,
    /// A permit for each poll at once, where their number is bounded.
    room: Option<Arc<Semaphore>>,
    /// What its polls share with those of other probes, or `None` if it ships with farrier.
    memory: Option<Arc<LaunchMemory>>,
    turns: Turns,
}

impl ProbeHost {
    /// A host that keeps native code in these folders; nothing is started until the first component.
    #[must_use]
    pub fn new(cache_folder: Option<PathBuf>, state_folder: Option<PathBuf>) -> Self {
        let engines = Engines::for_polls(1);
        Self {
            engines,
            cache: OnceLock::new(),
            cache_folder,
            state_folder,
            compilation: COMPILATION,
            memory: Arc::default(),
            turns: Turns::default(),
        }
    }

    /// Has room for this many polls of farrier's own probes at once; more wait for their turn.
    #[must_use]
    pub fn for_polls(self, polls: usize) -> Self {
        Self { engines: Engines::for_polls(polls), ..self }
    }

    /// Gives each component this long to compile instead of [`COMPILATION`].
    #[must_use]
    pub fn compiling_within(self, compilation: Duration) -> Self {
        Self { compilation, ..self }
    }

    fn cache(&self) -> Option<&NativeCache> {
        let open = || NativeCache::open(self.cache_folder.as_ref()?, self.state_folder.as_ref()?);
        self.cache.get_or_init(open).as_ref()
    }

    /// Compiles a component, or takes it from the cache, and links the interfaces it was granted.
    ///
    /// # Errors
    /// When it is not valid, or imports something else.
    pub fn load(&self, file: &ComponentFile, granted: &[&str]) -> wasmtime::Result<LoadedProbe> {
        let Runner { engine, room } = self.engines.for_component(file)?;
        let component = match self.cache() {
            Some(cache) => cache.load(engine, file)?,
            None => compile(engine, &file.bytes)?,
        };
        let mut linker = link(engine, granted)?;
        if file.imports_wasi() {
            interfaces::wasi::link(&mut linker)?;
        }
        let pre = linker.instantiate_pre(&component)?;
        let check = Arc::new(check::GuestIndices::new(&pre)?);
        let settings =
            if file.validates_settings() { Some(Arc::new(settings::GuestIndices::new(&pre)?)) } else { None };
        let memory = (!is_built_in(&file.bytes)).then(|| Arc::clone(&self.memory));
        Ok(LoadedProbe { pre, check, settings, room: room.clone(), memory, turns: self.turns.clone() })
    }

    /// The same, begun at once on a thread of its own: it may take seconds, and others have to run meanwhile. What
    /// takes too long is left behind: it ends with the program.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub fn load_in_time(
        self: &Arc<Self>,
        file: &Arc<ComponentFile>,
        granted: &[&'static str],
    ) -> impl Future<Output = Result<LoadedProbe, LoadError>> + Send + use<> {
        let (host, file, granted) = (Arc::clone(self), Arc::clone(file), granted.to_vec());
        let loading =
            blocking("compiler", move || host.load(&file, &granted).map_err(|error| LoadError::of(&error)));
        let allowed = self.compilation;
        let loaded = tokio::time::timeout(allowed, loading);
        async move {
            match loaded.await {
                Ok(Ok(loaded)) => loaded,
                Ok(Err(error)) => Err(LoadError::Limit(error.to_string())),
                Err(_) => {
                    Err(LoadError::Component(format!("compiling it took longer than {}", limit(allowed))))
                }
            }
        }
    }
}

fn link(engine: &Engine, granted: &[&str]) -> wasmtime::Result<Linker<HostState>> {
    type State = HasSelf<HostState>;
    let mut linker: Linker<HostState> = Linker::new(engine);
    types::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
    log_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
    interfaces::state_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
    for interface in granted {
        match *interface {
            "dial" => {
                interfaces::dial_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
            }
            "exec" => {
                interfaces::exec_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
            }
            "health" => {
                interfaces::health_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
            }
            "logs" => {
                interfaces::logs_interface::add_to_linker::<HostState, State>(&mut linker, |state| state)?;
            }
            _ => {}
        }
    }
    Ok(linker)
}

impl LoadedProbe {
    fn store(&self, powers: Powers, limits: Limits) -> Store<HostState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HOST_OBJECTS);
        let deadline = Deadline::after(limits.poll);
        let limiter = SummingLimiter::new(limits.memory, self.memory.clone());
        let state = HostState {
            table,
            limiter,
            powers,
            own: None,
            trace: Vec::new(),
            observed: Observed::default(),
            wasi: None,
            traces: Traces::default(),
            deadline,
            computing: None,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(COMPONENT_HANDLES);
        store.set_epoch_deadline(1);
        let turns = self.turns.clone();
        store.epoch_deadline_callback(move |mut context| {
            let state = context.data_mut();
            // Interrupted even where the timeout around the call gets no turn.
            if state.deadline.has_passed() {
                return Ok(UpdateDeadline::Interrupt);
            }
            let pause = state.computing.get_or_insert_with(|| turns.compute()).pause();
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    if pause.is_zero() {
                        tokio::task::yield_now().await;
                    } else {
                        tokio::time::sleep(pause).await;
                    }
                }),
            ))
        });
        store
    }

    /// Waits until there is room for a poll.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.room.as_ref()?).acquire_owned().await.ok()
    }

    /// Asks once, within the limits, with memory as it was when the component was compiled.
    pub async fn poll(&self, context: types::Context, powers: Powers, limits: Limits) -> Polled {
        // Given back when the store is gone.
        let _room = self.room().await;
        let mut store = self.store(powers, limits);
        let deadline = store.data().deadline.clone();
        store.data_mut().own = Some((context.host.clone(), context.port));
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let guest = self.check.load(&mut store, &instance)?;
            guest.call_check(&mut store, &context).await
        };
        let verdict = match before(&deadline, call).await {
            Some(Ok(verdict)) => convert_verdict(verdict),
            Some(Err(error)) => crash(&error, &store, limits),
            None => Verdict::TimedOut,
        };
        let mut state = store.into_data();
        state.note_denied_socket();
        let (verdict, trace) = (judged(verdict, &state), trace_lines(&state));
        let cut = state.deadline.has_cut();
        let observed = Observed { memory_exhausted: state.limiter.exhausted, cut, ..state.observed };
        Polled { verdict, trace, observed }
    }

    /// Runs the component's own check of its settings; none where it has none.
    ///
    /// # Errors
    /// The crash in words.
    pub async fn validate(&self, settings: &str, limits: Limits) -> Result<Vec<settings::Problem>, String> {
        let Some(indices) = &self.settings else {
            return Ok(Vec::new());
        };
        let _room = self.room().await;
        let mut store = self.store(Powers::default(), limits);
        let deadline = store.data().deadline.clone();
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let guest = indices.load(&mut store, &instance)?;
            guest.call_validate(&mut store, settings).await
        };
        match before(&deadline, call).await {
            Some(Ok(answer)) => Ok(bounded(answer.err().unwrap_or_default())),
            Some(Err(error)) => match crash(&error, &store, limits) {
                Verdict::Crashed(text) | Verdict::Pending { reason: text, .. } => Err(text),
                _ => Err(took_too_long(limits)),
            },
            None => Err(took_too_long(limits)),
        }
    }
}

/// What the call of a guest gives, or `None` if it did not end before the deadline.
async fn before<T>(deadline: &Deadline, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = deadline.passed() => None,
    }
}

/// What farrier itself knows of a poll that is not ready: waiting does not mend a socket that leads nowhere or a missing
/// grant, and a launch whose memory is used up is nobody's answer.
fn judged(verdict: Verdict, state: &HostState) -> Verdict {
    if verdict == Verdict::Ready {
        return verdict;
    }
    if state.traces.socket_refused.load(Ordering::Relaxed) {
        return Verdict::Failed(SOCKETS_RELAYED.to_owned());
    }
    if state.limiter.launch_exhausted {
        let reason = format!(
            "no memory is left for this poll: the probes of this launch hold {} MiB together, which is their limit",
            LAUNCH_MEMORY >> 20
        );
        return Verdict::Pending { reason, retry_after: None, extend: None };
    }
    match (verdict, &state.observed.not_granted) {
        (Verdict::Pending { .. } | Verdict::TimedOut, Some(what)) => Verdict::Failed(what.clone()),
        (verdict, _) => verdict,
    }
}

/// What it wrote to the trace, and printed.
fn trace_lines(state: &HostState) -> Vec<String> {
    let name = |level: &log_interface::Level| match level {
        log_interface::Level::Debug => "debug",
        log_interface::Level::Info => "info",
        log_interface::Level::Warn => "warn",
    };
    let written = state.trace.iter().map(|(level, line)| format!("{}: {}", name(level), one_line(line)));
    let mut lines: Vec<String> = written.collect();
    for (name, output) in [("stdout", &state.traces.stdout), ("stderr", &state.traces.stderr)] {
        let text = output.text();
        let room = TRACE_LINES.saturating_sub(lines.len());
        let printed = text.lines().filter(|line| !line.trim().is_empty()).take(room);
        lines.extend(printed.map(|line| format!("{name}: {}", one_line(line))));
    }
    let denied = state.traces.socket_denied.lock().unwrap_or_else(PoisonError::into_inner);
    lines.extend(denied.iter().map(|what| one_line(&format!("denied: {what}, which is not granted"))));
    lines
}

/// A guest may tell any number of problems of any length.
fn bounded(problems: Vec<settings::Problem>) -> Vec<settings::Problem> {
    let more = problems.len().saturating_sub(SETTINGS_PROBLEMS);
    let kept = problems.into_iter().take(SETTINGS_PROBLEMS);
    let mut kept: Vec<settings::Problem> = kept
        .map(|problem| settings::Problem {
            path: one_line(&problem.path),
            message: one_line(&problem.message),
        })
        .collect();
    if more > 0 {
        kept.push(settings::Problem {
            path: String::new(),
            message: format!("there are {more} more problems"),
        });
    }
    kept
}

fn took_too_long(limits: Limits) -> String {
    format!("it took longer than its limit of {}", limit(limits.poll))
}

fn one_line(text: &str) -> String {
    let kept: String = text.chars().take(REASON_CHARACTERS).collect();
    kept.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn convert_verdict(verdict: types::Verdict) -> Verdict {
    let milliseconds = |value: u32| Duration::from_millis(value.into());
    match verdict {
        types::Verdict::Ready => Verdict::Ready,
        types::Verdict::Pending(pending) => Verdict::Pending {
            reason: one_line(&pending.reason),
            retry_after: pending.retry_after_ms.map(milliseconds),
            extend: pending.extend_ms.map(milliseconds),
        },
        types::Verdict::Failed(reason) => Verdict::Failed(one_line(&reason)),
    }
}

/// Which limit on this process an error is about; `None` if it is about none.
fn limit_in(error: &wasmtime::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(thread) = cause.downcast_ref::<NoThread>() {
            return Some(thread.to_string());
        }
        let errno = cause.downcast_ref::<Errno>().map(|errno| io::Error::from(*errno));
        process_limits::reason(errno.as_ref().or_else(|| cause.downcast_ref())?)
    })
}

fn crash(error: &wasmtime::Error, store: &Store<HostState>, limits: Limits) -> Verdict {
    if store.data().limiter.exhausted {
        return Verdict::Crashed(format!(
            "it wanted more memory than its limit of {} MiB",
            limits.memory >> 20
        ));
    }
    // Not the probe's fault, and the next poll may have more.
    if let Some(reason) = limit_in(error) {
        return Verdict::Pending { reason, retry_after: None, extend: None };
    }
    // Where a language's runtime says why it gave up; Rust's then advises to set a variable. A guest without a standard
    // error has its last warning, which is where the SDK writes a panic.
    let stderr = store.data().traces.stderr.text();
    let said = |line: &&str| !line.is_empty() && !line.starts_with("note: ");
    let mut last_words: Vec<&str> =
        stderr.lines().rev().map(str::trim).filter(said).take(LAST_WORDS).collect();
    last_words.reverse();
    if let (true, Some((log_interface::Level::Warn, line))) =
        (last_words.is_empty(), store.data().trace.last())
    {
        last_words.push(line);
    }
    let why = |what: String| {
        let words =
            if last_words.is_empty() { String::new() } else { format!(": {}", last_words.join(" / ")) };
        Verdict::Crashed(one_line(&format!("{what}{words}")))
    };
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return why(format!("it exited with code {}", exit.0));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Verdict::TimedOut,
        Some(trap) => why(format!("it trapped: {}", one_line(&trap.to_string()))),
        None => match error.root_cause().to_string() {
            text if text.contains(FUEL_EXHAUSTED) => why(format!(
                "too much data went to or from the host in one call: more than {} MiB",
                HOSTCALL_FUEL >> 20
            )),
            text => why(one_line(&text)),
        },
    }
}
