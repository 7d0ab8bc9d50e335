//! `state`: what a probe remembers from one poll to the next.

use wasmtime::component::HasData;

use super::bindings::farrier::probe::state::{self, Host};
use super::types::Denial;
use crate::probe::capabilities::Capability;
use crate::probe::limits::STATE_BYTES;
use crate::probe::memory::Memory;
use crate::probe::store::HostState;

pub const CAPABILITY: Capability = Capability {
    name: "state",
    sentence: "keeps up to 64 KiB from poll to poll of one run",
    grant: None,
    needs: None,
    link: |linker| {
        state::add_to_linker::<HostState, Remembered<'static>>(linker, |state| {
            Remembered(&state.probe_context.memory)
        })
    },
};

/// What it sees of the store: the memory that polls of one run share.
struct Remembered<'a>(&'a Memory);

impl HasData for Remembered<'static> {
    type Data<'a> = Remembered<'a>;
}

impl Host for Remembered<'_> {
    async fn get(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.0.get())
    }

    async fn set(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<(), Denial>> {
        if bytes.len() > STATE_BYTES {
            return Ok(Err(Denial::Limit(format!("a probe may remember {} KiB", STATE_BYTES >> 10))));
        }
        self.0.set(bytes);
        Ok(Ok(()))
    }
}
