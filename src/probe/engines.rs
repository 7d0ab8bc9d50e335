//! The engines that guests run on, and the clock that interrupts them.
//!
//! Mapping a guest's memory and stack, and taking them back, is more than half of what a poll costs. Guests that came with
//! farrier therefore share a pool of both, which is put back to its first state after each poll. Nobody else's guest
//! takes part: theirs have memory that no guest had before them, whatever a mistake in a pool may leave behind.

use std::io;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use super::built_in::is_built_in;
use super::component::ComponentFile;
use super::turns::TICK;
use crate::system::process_limits;

/// Polls at once that a pool has room for at most; each takes 4 GiB of address space, whether or not it runs.
const MOST_POLLS: u32 = 1_000;
/// Core instances and tables of one of farrier's own probes at most: the guest, and what binds its imports.
const PARTS: u32 = 8;
/// Elements of one of their tables at most.
const TABLE_ELEMENTS: usize = 1_000;
/// Of what a guest wrote to, so many bytes of its memory and of each table are put back by copying, which is cheaper than
/// the page faults of the next poll. Where the kernel does not tell what that is (before Linux 6.7), nothing is.
const KEPT_RESIDENT: usize = 1 << 20;

/// What guests may use. Threads, shared memories and garbage collection are not even compiled in.
fn configuration() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_max_frames(None)
        .native_unwind_info(false)
        .generate_address_map(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        // What a memory begins with is kept in a file in memory, unless that might be too large.
        .memory_init_cow(!process_limits::limits_files());
    if process_limits::limits_address_space() {
        // By default each memory reserves 4 GiB, and guards of 32 MiB, so that its bounds need no checks.
        config.memory_reservation(0).memory_reservation_for_growth(1 << 20).memory_guard_size(64 << 10);
    }
    config
}

/// The same with a pool for this many polls at once. What it compiles is the same code.
fn pooling(polls: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(polls)
        .total_core_instances(polls.saturating_mul(PARTS))
        .max_core_instances_per_component(PARTS)
        .total_tables(polls.saturating_mul(PARTS))
        .max_tables_per_component(PARTS)
        .table_elements(TABLE_ELEMENTS)
        .total_memories(polls)
        .max_memories_per_component(1)
        .total_stacks(polls);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
        pool.linear_memory_keep_resident(KEPT_RESIDENT).table_keep_resident(KEPT_RESIDENT);
    }
    let mut config = configuration();
    config.allocation_strategy(pool);
    config
}

/// An engine, and how many polls it has room for.
#[derive(Clone)]
pub struct Runner {
    /// The engine.
    pub engine: Engine,
    /// A permit for each poll at once; none where there is no bound.
    pub room: Option<Arc<Semaphore>>,
}

/// Both engines; each is started by the first component that needs it.
pub struct Engines {
    polls: u32,
    /// None where it cannot be started.
    pooled: OnceLock<Option<Runner>>,
    fresh: OnceLock<Runner>,
}

impl Engines {
    /// With room for this many polls of farrier's own probes at once; more wait for their turn.
    #[must_use]
    pub fn for_polls(polls: usize) -> Self {
        let polls = u32::try_from(polls).unwrap_or(u32::MAX).clamp(1, MOST_POLLS);
        Self { polls, pooled: OnceLock::new(), fresh: OnceLock::new() }
    }

    /// The engine for this component.
    ///
    /// # Errors
    /// When the system has no memory or threads left.
    pub fn for_component(&self, file: &ComponentFile) -> wasmtime::Result<&Runner> {
        let pooled = is_built_in(&file.digest).then(|| self.pooled()).flatten();
        pooled.map_or_else(|| self.fresh(), Ok)
    }

    fn pooled(&self) -> Option<&Runner> {
        let start = || {
            // Of a limited address space (`ulimit -v`), a pool would leave too little to others.
            (!process_limits::limits_address_space()).then_some(())?;
            let room = Some(Arc::new(Semaphore::new(self.polls as usize)));
            let engine = start(&pooling(self.polls));
            let engine = engine.inspect_err(|error| tracing::debug!("polls have no pool: {error}")).ok()?;
            Some(Runner { engine, room })
        };
        self.pooled.get_or_init(start).as_ref()
    }

    fn fresh(&self) -> wasmtime::Result<&Runner> {
        if let Some(runner) = self.fresh.get() {
            return Ok(runner);
        }
        let engine = start(&configuration())?;
        Ok(self.fresh.get_or_init(|| Runner { engine, room: None }))
    }
}

/// An engine that compiles what the others run, and runs nothing itself.
///
/// # Errors
/// When this machine has no compiler.
pub fn for_compiling() -> wasmtime::Result<Engine> {
    Engine::new(&configuration())
}

/// The system gives no thread.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoThread(io::Error);

/// Starts an engine, and a clock that ticks as long as it is used. That is a thread of the system's, not a task: a guest
/// that keeps every worker busy must not stop the clock.
fn start(config: &Config) -> wasmtime::Result<Engine> {
    let engine = Engine::new(config)?;
    let weak = engine.weak();
    let clock = std::thread::Builder::new().name("probe-clock".to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    });
    clock.map_err(|error| NoThread(process_limits::no_thread(&error)))?;
    Ok(engine)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::probe::built_in::{built_in, built_in_names};

    fn own(name: &str) -> ComponentFile {
        ComponentFile::parse(built_in(name).expect("a probe")).expect("a component")
    }

    /// The same component with a custom section behind it, which changes nothing but its bytes.
    fn of_somebody_else(name: &str) -> ComponentFile {
        let mut bytes = built_in(name).expect("a probe");
        bytes.extend([0, 2, 1, b'x']);
        ComponentFile::parse(bytes).expect("a component")
    }

    #[test]
    fn every_probe_of_our_own_fits_into_the_pool() {
        let engines = Engines::for_polls(2);
        for name in built_in_names() {
            let file = own(name);
            let runner = engines.for_component(&file).expect("an engine");
            assert!(runner.room.is_some(), "{name} has no pool");
            let compiled = wasmtime::component::Component::new(&runner.engine, &file.bytes);
            assert!(compiled.is_ok(), "{name} does not fit: {:?}", compiled.err());
        }
    }

    #[test]
    fn nobody_else_shares_it() {
        let engines = Engines::for_polls(2);
        let ours = engines.for_component(&own("tcp")).expect("an engine").clone();
        let theirs = engines.for_component(&of_somebody_else("tcp")).expect("an engine");
        assert!(theirs.room.is_none());
        assert!(!Engine::same(&ours.engine, &theirs.engine));
    }

    #[test]
    fn a_pool_has_room_for_a_thousand_polls_at_most() {
        let engines = Engines::for_polls(10_000_000);
        let room = engines.for_component(&own("tcp")).expect("an engine").room.clone();
        assert_eq!(room.expect("a pool").available_permits(), 1_000);
    }
}
