//! `logs`: what the container wrote since its latest start.

use std::time::Duration;

use wasmtime::component::HasData;

use super::bindings::farrier::probe::logs::{self, Host};
use super::types::Denial;
use super::{engine_denial, expect, unsupported};
use crate::engine::EngineFeature;
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::context::Subject;
use crate::probe::limits::LOG_LINES;
use crate::probe::store::{HostState, Poll};

pub const CAPABILITY: Capability = Capability {
    name: "logs",
    sentence: "reads what the container wrote since its start",
    grant: Some(Grant::Switch),
    needs: Some(EngineFeature::Logs),
    link: |linker| logs::add_to_linker::<HostState, Logs<'static>>(linker, Logs::of),
};

/// How long one page may take, whatever comes: a poll has an end. An engine may need some of it to begin, because it reads
/// its files from the container's first start on.
const LONGEST_READ: Duration = Duration::from_millis(250);

/// What it sees of the store: the container, and the poll's end.
struct Logs<'a> {
    subject: Option<&'a Subject>,
    poll: &'a mut Poll,
}

impl HasData for Logs<'static> {
    type Data<'a> = Logs<'a>;
}

impl Logs<'_> {
    fn of(state: &mut HostState) -> Logs<'_> {
        Logs { subject: state.probe_context.subject.as_ref(), poll: &mut state.poll }
    }
}

impl Host for Logs<'_> {
    async fn tail(&mut self, max: u32) -> wasmtime::Result<Result<Vec<String>, Denial>> {
        self.poll.used.log_reads += 1;
        let subject = match expect(self.subject) {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        let lines = LOG_LINES.min(max as usize);
        let Some(logs) = subject.engine.logs() else { return Ok(Err(unsupported())) };
        let tail = logs.logs(&subject.instance, &subject.log_start, lines).await;
        Ok(tail.map_err(|error| engine_denial(&error)))
    }

    async fn read(&mut self, first: u64, max: u32) -> wasmtime::Result<Result<Vec<String>, Denial>> {
        self.poll.used.log_reads += 1;
        let subject = match expect(self.subject) {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        let Some(logs) = subject.engine.logs() else { return Ok(Err(unsupported())) };
        let run = (subject.instance.as_str(), subject.log_start.as_str());
        let limit = self.poll.left().min(LONGEST_READ);
        let read = subject.log.read(logs, run, first, max as usize, limit).await;
        Ok(read.map_err(|error| engine_denial(&error)))
    }
}
