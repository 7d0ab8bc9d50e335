//! A stateful double of an engine: Docker's semantics in memory, and every fault on demand.
//!
//! `tests/docker/docker_api.rs` runs one suite on this and on a real engine, so that what is proven here holds
//! there. Beside the trait, a caller may look at and change the state as another tool would
//! ([`Double::change`]), script what images do ([`DoubleImage`]), make any call fail, hang, come late or
//! answer nonsense ([`Double::fault`]), change the state before any call ([`Double::before`]), and
//! ask afterwards what was called ([`Double::calls`]).
//!
//! Containers have addresses of the loopback interface, so that dialling one reaches a listener of this host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::engine::{EngineError, EngineErrorKind, EngineResult};
use crate::system::digest::sha256_hex;

mod api;
mod containers;
mod events;
mod faults;
mod image;
mod networks;
mod nonsense;
mod output;
mod runs;
mod world;

pub use faults::{At, Call, Fault, Logged};
pub use image::{DoubleImage, End, Run};
pub use nonsense::Nonsense;
pub use world::World;

use containers::Wires;
use faults::Ledger;
use nonsense::Garbled;
use runs::Begun;

/// An engine in memory. Clones are the same engine.
#[derive(Clone)]
pub struct Double {
    shared: Arc<Shared>,
}

struct Shared {
    id: String,
    state: Mutex<State>,
    /// Counts calls and changes, so that somebody can wait for one.
    revision: watch::Sender<u64>,
}

struct State {
    world: World,
    ledger: Ledger,
}

impl Default for Double {
    fn default() -> Self {
        Self::new()
    }
}

impl Double {
    /// An engine that holds nothing, with an id of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut random = [0_u8; 16];
        let _ = getrandom::fill(&mut random);
        let id = format!("memory-{:032x}", u128::from_ne_bytes(random));
        let state = State { world: World::new(&sha256_hex(&id)), ledger: Ledger::default() };
        Self { shared: Arc::new(Shared { id, state: Mutex::new(state), revision: watch::Sender::new(0) }) }
    }

    /// Its id, which keys the locks.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Looks at the state, or changes it as another tool would; no call is logged.
    pub fn change<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        self.shared.change(work)
    }

    /// Looks at the state; whoever waits for a change is not woken.
    pub fn look<T>(&self, work: impl FnOnce(&World) -> T) -> T {
        work(&self.state().world)
    }

    /// Makes a call fail, hang, come late or answer nonsense. Several faults of one call add up.
    pub fn fault(&self, at: At, fault: Fault) {
        self.state().ledger.fault(at, fault);
    }

    /// Changes the state just before a call is carried out.
    pub fn before(&self, at: At, hook: impl FnOnce(&mut World) + Send + 'static) {
        self.state().ledger.before(at, Box::new(hook));
    }

    /// Takes back all faults and hooks, and forgets the calls so far.
    pub fn calm(&self) {
        self.state().ledger = Ledger::default();
    }

    /// Stops the engine, or lets it run again: while it is stopped no call succeeds, and streams of events break.
    /// What its containers do meanwhile is for [`Double::change`].
    pub fn stop(&self, stopped: bool) {
        self.state().ledger.down = stopped;
        self.change(|world| {
            if stopped {
                world.break_events(true);
            }
        });
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Logged> {
        self.state().ledger.log.clone()
    }

    /// How often something was called.
    #[must_use]
    pub fn count(&self, call: Call) -> usize {
        self.state().ledger.count(call)
    }

    /// The calls so far that were meant to change something.
    #[must_use]
    pub fn changes(&self) -> Vec<Logged> {
        self.calls().into_iter().filter(|logged| logged.call.is_change()).collect()
    }

    /// Waits until a call hangs by a fault.
    pub async fn stalled(&self) {
        self.until(|engine| engine.state().ledger.stalled > 0).await;
    }

    /// Waits until something was called this often.
    pub async fn called(&self, call: Call, times: usize) {
        self.until(|engine| engine.count(call) >= times).await;
    }

    /// Waits until a condition holds; it is looked at again after every call and change.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut revision = self.shared.revision.subscribe();
        while !condition(self) {
            // The sender lives as long as this engine.
            let _ = revision.changed().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Carries a call out, with the faults that were asked for.
    async fn call<T: Garbled + Send>(
        &self,
        call: Call,
        subject: &str,
        work: impl FnOnce(&mut World) -> EngineResult<T> + Send,
    ) -> EngineResult<T> {
        let faults = self.shared.admit(call, subject);
        for fault in &faults {
            match fault {
                Fault::Fail(kind) => return Err(injected(*kind, call)),
                Fault::Refuse(words) => return Err(EngineError::new(EngineErrorKind::Refused, *words)),
                Fault::Hang => self.stall().await,
                Fault::Late(delay) => tokio::time::sleep(*delay).await,
                Fault::FailAfter(_) | Fault::HangAfter | Fault::Garbage(_) => {}
            }
        }
        let mut result = self.change(work);
        for fault in &faults {
            match fault {
                Fault::FailAfter(kind) => result = Err(injected(*kind, call)),
                Fault::HangAfter => self.stall().await,
                Fault::Garbage(nonsense) => result.iter_mut().for_each(|answer| answer.garble(*nonsense)),
                Fault::Fail(_) | Fault::Refuse(_) | Fault::Hang | Fault::Late(_) => {}
            }
        }
        result
    }

    async fn stall(&self) {
        self.state().ledger.stalled += 1;
        self.shared.changed();
        std::future::pending::<()>().await;
    }

    /// What a started process does by itself later on.
    fn let_run(&self, begun: Begun) {
        let shared = Arc::downgrade(&self.shared);
        if let Some((delay, end)) = begun.ends {
            let (shared, id, started_at) = (Weak::clone(&shared), begun.id.clone(), begun.started_at.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                end_run(&shared, &id, &started_at, &end);
            });
        }
        if let Some(wires) = begun.copies {
            tokio::spawn(async move {
                copy(wires).await;
                end_run(&shared, &begun.id, &begun.started_at, &End::Exit(0));
            });
        }
    }

    /// What a command in a container does.
    async fn executed(&self, call: Call, container: &str, arguments: &[String]) -> EngineResult<Run> {
        let execution = self.call(call, container, |world| world.exec(container, arguments)).await?;
        let run = execution.run(arguments).await;
        if let End::CannotRun(message) = &run.end {
            let text = format!("OCI runtime exec failed: exec failed: {message}\r\n");
            return Ok(Run { stdout: text.into_bytes(), ..Run::exit(126) });
        }
        Ok(run)
    }

    async fn ran(&self, container: &str, run: Run) -> (Run, i64) {
        tokio::time::sleep(run.after).await;
        let code = match run.end {
            End::Exit(code) => code,
            End::CannotRun(_) => 126,
            End::OutOfMemory => 137,
            End::Never | End::Copies => {
                // It ends with its container.
                let runs = |engine: &Self| engine.change_quietly(|world| world.runs(container));
                self.until(|engine| !runs(engine)).await;
                137
            }
        };
        (run, code)
    }

    fn change_quietly<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.state().world)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn change<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let result = work(&mut self.state().world);
        self.changed();
        result
    }

    /// Logs a call, runs its hooks, and gives its faults.
    fn admit(&self, call: Call, subject: &str) -> Vec<Fault> {
        let faults = {
            let mut state = self.state();
            let (hooks, faults) = state.ledger.admit(call, subject);
            for hook in hooks {
                hook(&mut state.world);
            }
            faults
        };
        self.changed();
        faults
    }
}

fn injected(kind: EngineErrorKind, call: Call) -> EngineError {
    EngineError::new(kind, format!("the engine was told to fail: {call:?}"))
}

fn end_run(shared: &Weak<Shared>, id: &str, started_at: &str, end: &End) {
    if let Some(shared) = shared.upgrade() {
        shared.change(|world| world.end_run(id, started_at, end));
    }
}

/// Copies until the input ends.
async fn copy(wires: Wires) {
    let (mut input, mut output) = wires;
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = input.read(&mut buffer).await {
        if output.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
