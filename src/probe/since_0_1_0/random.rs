//! `random`: random numbers, for what a protocol asks to be used once.

use wasmtime::component::HasData;

use super::bindings::farrier::probe::random::{self, Host};
use super::types::Denial;
use crate::probe::capabilities::Capability;
use crate::probe::limits::RANDOM_BYTES;
use crate::probe::randomness::Randomness;
use crate::probe::store::HostState;

pub const CAPABILITY: Capability = Capability {
    name: "random",
    sentence: "gets random numbers",
    grant: None,
    needs: None,
    link: |linker| {
        random::add_to_linker::<HostState, Numbers<'static>>(linker, |state| {
            Numbers(&mut state.probe_context.randomness)
        })
    },
};

/// What it sees of the store: where random numbers come from.
struct Numbers<'a>(&'a mut Randomness);

impl HasData for Numbers<'static> {
    type Data<'a> = Numbers<'a>;
}

impl Host for Numbers<'_> {
    async fn bytes(&mut self, count: u32) -> wasmtime::Result<Result<Vec<u8>, Denial>> {
        if count > RANDOM_BYTES {
            let limit = format!("one call returns at most {} KiB of random numbers", RANDOM_BYTES >> 10);
            return Ok(Err(Denial::Limit(limit)));
        }
        let mut bytes = vec![0; count as usize];
        Ok(match self.0.fill(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(Denial::Other(format!("this machine has no random numbers: {error}"))),
        })
    }
}
