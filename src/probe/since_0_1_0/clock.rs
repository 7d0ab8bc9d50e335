//! `clock`: how much time passed.

use std::sync::OnceLock;
use std::time::Instant;

use wasmtime::component::HasData;

use super::bindings::farrier::probe::clock::{self, Host};
use crate::probe::capabilities::Capability;
use crate::probe::store::HostState;
use crate::system::clock::now;

pub const CAPABILITY: Capability = Capability {
    name: "clock",
    sentence: "measures time",
    grant: None,
    needs: None,
    link: |linker| {
        clock::add_to_linker::<HostState, Clock>(linker, |state| Clock {
            begun: state.probe_context.stopped_at.map(|(begun, _)| begun),
        })
    },
};

/// What it sees of the store: when a scenario began.
struct Clock {
    begun: Option<Instant>,
}

impl HasData for Clock {
    type Data<'a> = Clock;
}

/// The moment from which the clock counts, the same for all probes of this process: it tells nothing of the machine.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(now)
}

impl Host for Clock {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        let passed = now().saturating_duration_since(self.begun.unwrap_or_else(epoch));
        Ok(passed.as_nanos().try_into().unwrap_or(u64::MAX))
    }
}
