//! `logs`: what the container wrote since its current start.

use std::time::Duration;

use super::logs_interface::Host;
use super::types::Denial;
use super::{HostState, engine_denial};
use crate::probe::limits::LOG_LINES;

/// How long one page may take, whatever comes: a poll has an end. An engine may need some of it to begin, because it reads
/// its files from the container's first start on.
const LONGEST_READ: Duration = Duration::from_millis(250);

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

    async fn read(&mut self, first: u64, max: u32) -> wasmtime::Result<Result<Vec<String>, Denial>> {
        let subject = match self.subject() {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        let run = (subject.container.as_str(), subject.log_start.as_str());
        let limit = self.left().min(LONGEST_READ);
        let read = subject.log.read(subject.engine.as_ref(), run, first, max as usize, limit).await;
        Ok(read.map_err(|error| engine_denial(&error)))
    }
}
