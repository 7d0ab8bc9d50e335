//! `log`: lines for the launcher's trace; bounded, never fatal.

use wasmtime::component::HasData;

use super::bindings::farrier::probe::log::{self, Host};
use crate::probe::capabilities::Capability;
use crate::probe::limits::{REASON_CHARACTERS, TRACE_LINES};
use crate::probe::store::{HostState, Level};

pub const CAPABILITY: Capability = Capability {
    name: "log",
    sentence: "writes lines to farrier's trace",
    grant: None,
    needs: None,
    link: |linker| log::add_to_linker::<HostState, Trace<'static>>(linker, |state| Trace(&mut state.trace)),
};

/// What it sees of the store: the lines written so far.
struct Trace<'a>(&'a mut Vec<(Level, String)>);

impl HasData for Trace<'static> {
    type Data<'a> = Trace<'a>;
}

impl Host for Trace<'_> {
    async fn write(&mut self, level: log::Level, line: String) -> wasmtime::Result<()> {
        if self.0.len() < TRACE_LINES {
            let level = match level {
                log::Level::Debug => Level::Debug,
                log::Level::Info => Level::Info,
                log::Level::Warn => Level::Warn,
            };
            self.0.push((level, line.chars().take(REASON_CHARACTERS).collect()));
        }
        Ok(())
    }
}
