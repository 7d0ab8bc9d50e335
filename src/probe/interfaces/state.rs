//! `state`: what a probe remembers from one poll to the next.

use super::HostState;
use super::state_interface::Host;
use super::types::Denial;
use crate::probe::limits::STATE_BYTES;

impl Host for HostState {
    async fn get(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.powers.memory.get())
    }

    async fn set(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<(), Denial>> {
        if bytes.len() > STATE_BYTES {
            return Ok(Err(Denial::Limit(format!("a probe may remember {} KiB", STATE_BYTES >> 10))));
        }
        self.powers.memory.set(bytes);
        Ok(Ok(()))
    }
}
