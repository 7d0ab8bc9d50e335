//! `logs`: what the container wrote since its current start.

use super::logs_interface::Host;
use super::types::Denial;
use super::{HostState, engine_denial};
use crate::probe::limits::LOG_LINES;

impl Host for HostState {
    async fn tail(&mut self, max: u32) -> wasmtime::Result<Result<Vec<String>, Denial>> {
        let subject = match self.subject() {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        let lines = LOG_LINES.min(max as usize);
        let tail = subject.engine.logs(&subject.container, &subject.log_start, lines).await;
        Ok(tail.map_err(|error| engine_denial(&error)))
    }
}
