//! What a poll may use up on the host's side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::{Error, ResourceLimiter};

/// How long one dial may take.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Host memory that the arguments and results of one call may take: 1 MiB.
pub const HOSTCALL_FUEL: usize = 1 << 20;
/// Host objects (connections, streams, what is waited for) that one poll may hold.
pub const HOST_OBJECTS: usize = 256;
/// TLS handshakes that one poll may begin: each takes farrier's own time, and its connection farrier's memory.
pub const HANDSHAKES: u32 = 64;
/// Handles that a component's own tables may hold.
pub const COMPONENT_HANDLES: usize = 1_000;
/// Linear memory that all polls of a launch may hold at one time: 1 GiB, as much as one of them may be granted. Probes
/// that ship with farrier take no part.
pub const LAUNCH_MEMORY: usize = 1 << 30;
/// How long a component may take to compile: Python's 18 MB take seconds.
pub const COMPILATION: Duration = Duration::from_mins(2);
/// Memory that compiling one may take: 4 GiB. Python's takes a tenth of it on two processors, and each processor has
/// one function in hand.
pub const COMPILER_MEMORY: u64 = 4 << 30;
/// Native code is a few times its component's size.
pub const NATIVE_CODE_BYTES: u64 = 1 << 30;
/// The largest component file: Python components are 18 to 38 MB.
pub const COMPONENT_BYTES: u64 = 64 << 20;
/// Characters of a reason that are kept: one line for people.
pub const REASON_CHARACTERS: usize = 500;
/// Bytes of each stream of an executed command that a probe sees.
pub const EXEC_OUTPUT: usize = 64 << 10;
/// Log lines that one call returns at most.
pub const LOG_LINES: usize = 1_000;
/// Bytes of one numbered line that a probe sees.
pub const LOG_LINE_BYTES: usize = 16 << 10;
/// Numbered lines that one call returns at most.
pub const LOG_PAGE_LINES: usize = 10_000;
/// Bytes of numbered lines after which a call returns no more of them, and no more of them are kept.
pub const LOG_PAGE_BYTES: usize = 256 << 10;
/// Bytes that a probe may remember from poll to poll.
pub const STATE_BYTES: usize = 64 << 10;
/// Random bytes that one call of `random` or of WASI returns at most.
pub const RANDOM_BYTES: u32 = 64 << 10;
/// Trace lines that one poll may write.
pub const TRACE_LINES: usize = 100;
/// Problems with its settings that a component may tell; of more, the number is told.
pub const SETTINGS_PROBLEMS: usize = 20;
/// Elements of all tables together.
const TABLE_ELEMENTS: usize = 100_000;
/// Core instances, memories and tables of one component.
const INSTANCES: usize = 100;

/// The memory that the polls of a launch share.
#[derive(Debug)]
pub struct LaunchMemory(AtomicUsize);

impl Default for LaunchMemory {
    fn default() -> Self {
        Self(AtomicUsize::new(LAUNCH_MEMORY))
    }
}

impl LaunchMemory {
    fn take(&self, bytes: usize) -> bool {
        let rest = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Sums what all linear memories and tables of a store take: wasmtime's own limits count each one by itself.
#[derive(Debug)]
pub struct SummingLimiter {
    memory: usize,
    memory_left: usize,
    elements_left: usize,
    launch: Option<Arc<LaunchMemory>>,
    /// Whether a growth was refused, so that the trap that follows can be named.
    pub exhausted: bool,
    /// Whether a growth was refused because other polls of the launch hold the memory.
    pub launch_exhausted: bool,
}

impl SummingLimiter {
    /// Allows this many bytes of linear memory, and no more than the launch has left.
    #[must_use]
    pub fn new(memory: u64, launch: Option<Arc<LaunchMemory>>) -> Self {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self {
            memory,
            memory_left: memory,
            elements_left: TABLE_ELEMENTS,
            launch,
            exhausted: false,
            launch_exhausted: false,
        }
    }
}

impl Drop for SummingLimiter {
    fn drop(&mut self) {
        if let Some(launch) = &self.launch {
            launch.give_back(self.memory - self.memory_left);
        }
    }
}

fn take(left: &mut usize, current: usize, desired: usize) -> bool {
    let growth = desired.saturating_sub(current);
    match left.checked_sub(growth) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

impl ResourceLimiter for SummingLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let mut left = self.memory_left;
        if !take(&mut left, current, desired) {
            self.exhausted = true;
            return Ok(false);
        }
        if self.launch.as_ref().is_some_and(|launch| !launch.take(self.memory_left - left)) {
            self.launch_exhausted = true;
            return Ok(false);
        }
        self.memory_left = left;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let allowed = take(&mut self.elements_left, current, desired);
        self.exhausted |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_of_a_launch_share_their_memory_and_give_it_back() {
        let launch = Arc::new(LaunchMemory::default());
        let limiter = || SummingLimiter::new(LAUNCH_MEMORY as u64, Some(Arc::clone(&launch)));
        let grow =
            |limiter: &mut SummingLimiter, bytes| limiter.memory_growing(0, bytes, None).unwrap_or(false);
        let (mut first, mut second) = (limiter(), limiter());
        assert!(grow(&mut first, LAUNCH_MEMORY - 10));
        assert!(!grow(&mut second, 11) && second.launch_exhausted && !second.exhausted);
        assert!(grow(&mut second, 10));
        assert!(
            !grow(&mut first, 11) && first.exhausted && !first.launch_exhausted,
            "its own limit comes first"
        );
        drop(first);
        assert!(grow(&mut second, LAUNCH_MEMORY - 10));
        drop(second);
        assert!(grow(&mut limiter(), LAUNCH_MEMORY), "all of it was given back");
    }
}
