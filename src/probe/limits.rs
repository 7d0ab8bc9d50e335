//! What a poll may use up on the host's side.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter};

/// Host memory that the arguments and results of one call may take: 1 MiB.
pub const HOSTCALL_FUEL: usize = 1 << 20;
/// Host objects (connections, streams, what is waited for) that one poll may hold.
pub const HOST_OBJECTS: usize = 256;
/// Handles that a component's own tables may hold.
pub const COMPONENT_HANDLES: usize = 1_000;
/// How long a component may take to compile: Python's 18 MB take seconds.
pub const COMPILATION: Duration = Duration::from_mins(2);
/// The largest component file: Python components are 18 to 38 MB.
pub const COMPONENT_BYTES: u64 = 64 << 20;
/// Characters of a reason that are kept: one line for people.
pub const REASON_CHARACTERS: usize = 500;
/// Bytes of each stream of an executed command that a probe sees.
pub const EXEC_OUTPUT: usize = 64 << 10;
/// Log lines that one call returns at most.
pub const LOG_LINES: usize = 1_000;
/// Trace lines that one poll may write.
pub const TRACE_LINES: usize = 100;
/// Elements of all tables together.
const TABLE_ELEMENTS: usize = 100_000;
/// Core instances, memories and tables of one component.
const INSTANCES: usize = 100;

/// Sums what all linear memories and tables of a store take: wasmtime's own limits count each one by itself.
#[derive(Debug)]
pub struct SummingLimiter {
    memory_left: usize,
    elements_left: usize,
    /// Whether a growth was refused, so that the trap that follows can be named.
    pub exhausted: bool,
}

impl SummingLimiter {
    /// Allows this many bytes of linear memory.
    #[must_use]
    pub fn new(memory: u64) -> Self {
        Self {
            memory_left: usize::try_from(memory).unwrap_or(usize::MAX),
            elements_left: TABLE_ELEMENTS,
            exhausted: false,
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
        let allowed = take(&mut self.memory_left, current, desired);
        self.exhausted |= !allowed;
        Ok(allowed)
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
