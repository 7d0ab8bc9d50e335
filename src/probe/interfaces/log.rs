//! `log`: lines for the launcher's trace; bounded, never fatal.

use super::HostState;
use super::log_interface::{Host, Level};
use crate::probe::limits::{REASON_CHARACTERS, TRACE_LINES};

impl Host for HostState {
    async fn write(&mut self, level: Level, line: String) -> wasmtime::Result<()> {
        if self.trace.len() < TRACE_LINES {
            self.trace.push((level, line.chars().take(REASON_CHARACTERS).collect()));
        }
        Ok(())
    }
}
