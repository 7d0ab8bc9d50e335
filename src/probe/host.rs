//! The host: compiles a component, and polls it in a fresh store each time.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};

use super::built_in::is_built_in;
use super::cache::NativeCache;
use super::component::ComponentFile;
use super::context::ProbeContext;
use super::contract::{self, HOSTED};
use super::deadline::Deadline;
use super::engines::{Engines, Runner};
use super::guest::{Context, Guest, SettingsProblem, Verdict};
use super::limits::{
    COMPILATION, COMPONENT_HANDLES, HOST_OBJECTS, HOSTCALL_FUEL, LaunchMemory, SETTINGS_PROBLEMS,
    SummingLimiter,
};
use super::native_code;
use super::observed::Observed;
use super::store::{HostState, Poll};
use super::turns::{Stretch, Turns};
use super::usage::Usage;
use super::verdict::{cleaned, crash, judged, limit_in, one_line, trace_lines};
use super::wasi;
use crate::definition::model::Limits;
use crate::report::elapsed::limit;
use crate::report::error::{Code, Problem};
use crate::system::blocking::blocking;
use crate::system::process_limits;

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
    guest: Arc<dyn Guest>,
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
            Some(cache) => cache.load(engine, file, self.compilation)?,
            None => native_code::compile(engine, &file.bytes, self.compilation)?.load(engine)?,
        };
        let mut linker = Linker::new(engine);
        HOSTED.iter().try_for_each(|version| version.link(&mut linker, granted))?;
        if file.imports_wasi() {
            wasi::link(&mut linker)?;
        }
        let pre = linker.instantiate_pre(&component)?;
        let version = contract::spoken(&file.exports)
            .ok_or_else(|| wasmtime::Error::msg("it answers in no version of the contract"))?;
        let guest = (version.guest)(&pre, file)?;
        let memory = (!is_built_in(&file.digest)).then(|| Arc::clone(&self.memory));
        Ok(LoadedProbe { pre, guest, room: room.clone(), memory, turns: self.turns.clone() })
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

impl LoadedProbe {
    fn store(&self, probe_context: ProbeContext, limits: Limits) -> Store<HostState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HOST_OBJECTS);
        let deadline = Deadline::after(limits.poll);
        let deadline = match probe_context.stopped_at {
            Some(_) => deadline.on_a_stopped_clock(),
            None => deadline,
        };
        let limiter = SummingLimiter::new(limits.memory, self.memory.clone());
        let poll = Poll {
            own: None,
            grants: Arc::clone(&probe_context.grants),
            observed: Observed::default(),
            used: Usage::default(),
            deadline,
            stretch: Stretch::default(),
            handshakes: 0,
            computing: None,
        };
        let state = HostState {
            table,
            limiter,
            probe_context,
            poll,
            trace: Vec::new(),
            wasi: None,
            traces: wasi::Traces::default(),
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(COMPONENT_HANDLES);
        store.set_epoch_deadline(1);
        let turns = self.turns.clone();
        store.epoch_deadline_callback(move |mut context| {
            let poll = &mut context.data_mut().poll;
            // Interrupted even where the timeout around the call gets no turn.
            if poll.deadline.has_passed() {
                return Ok(UpdateDeadline::Interrupt);
            }
            if !poll.stretch.is_long() {
                return Ok(UpdateDeadline::Continue(1));
            }
            let pause = poll.computing.get_or_insert_with(|| turns.compute()).pause();
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
    pub async fn poll(&self, context: Context, probe_context: ProbeContext, limits: Limits) -> Polled {
        // Given back when the store is gone.
        let _room = self.room().await;
        let mut store = self.store(probe_context, limits);
        let (deadline, stretch) = (store.data().poll.deadline.clone(), store.data().poll.stretch.clone());
        store.data_mut().poll.own = Some((context.host.clone(), context.port));
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            self.guest.check(&mut store, &instance, &context).await
        };
        let verdict = match before(&deadline, stretch.of(call)).await {
            Some(Ok(verdict)) => cleaned(verdict),
            Some(Err(error)) => crash(&error, &store, limits),
            None => Verdict::TimedOut,
        };
        let mut state = store.into_data();
        state.note_denied_socket();
        let (verdict, trace) = (judged(verdict, &state), trace_lines(&state));
        let cut = state.poll.deadline.has_cut();
        let observed = std::mem::take(&mut state.poll.observed);
        let observed = Observed { memory_exhausted: state.limiter.exhausted, cut, ..observed };
        Polled { verdict, trace, observed }
    }

    /// Runs the component's own check of its settings; none where it has none.
    ///
    /// # Errors
    /// The crash in words.
    pub async fn validate(&self, settings: &str, limits: Limits) -> Result<Vec<SettingsProblem>, String> {
        if !self.guest.validates_settings() {
            return Ok(Vec::new());
        }
        let _room = self.room().await;
        let mut store = self.store(ProbeContext::default(), limits);
        let (deadline, stretch) = (store.data().poll.deadline.clone(), store.data().poll.stretch.clone());
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            self.guest.validate(&mut store, &instance, settings).await
        };
        match before(&deadline, stretch.of(call)).await {
            Some(Ok(problems)) => Ok(bounded(problems)),
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

/// A guest may tell any number of problems of any length.
fn bounded(problems: Vec<SettingsProblem>) -> Vec<SettingsProblem> {
    let more = problems.len().saturating_sub(SETTINGS_PROBLEMS);
    let kept = problems.into_iter().take(SETTINGS_PROBLEMS);
    let mut kept: Vec<SettingsProblem> = kept
        .map(|problem| SettingsProblem { path: one_line(&problem.path), message: one_line(&problem.message) })
        .collect();
    if more > 0 {
        kept.push(SettingsProblem {
            path: String::new(),
            message: format!("there are {more} more problems"),
        });
    }
    kept
}

fn took_too_long(limits: Limits) -> String {
    format!("it took longer than its limit of {}", limit(limits.poll))
}
