//! `farrier:probe@0.1.0` and the patches after it: the bindings generated from `wit/`, the table of its capabilities, and
//! how its exports are called. A capability is one file here and one line of the table.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};

use self::bindings::exports::farrier::probe::{check, settings};
use self::bindings::farrier::probe::types::{self, Denial};
use super::capabilities::Capability;
use super::component::ComponentFile;
use super::context::Subject;
use super::contract::Version;
use super::guest::{Context, Guest, SettingsProblem, Verdict};
use super::store::HostState;

mod clock;
mod dial;
mod env;
mod exec;
mod health;
mod log;
mod logs;
mod random;
mod state;
mod tls;

#[allow(missing_docs, reason = "generated; the documentation is in wit/probe.wit")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "complete",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "farrier:probe/dial.connection": super::dial::Connection },
    });
}

/// What a component of this version may import.
const CAPABILITIES: &[Capability] = &[
    dial::CAPABILITY,
    tls::CAPABILITY,
    exec::CAPABILITY,
    health::CAPABILITY,
    logs::CAPABILITY,
    env::CAPABILITY,
    state::CAPABILITY,
    random::CAPABILITY,
    clock::CAPABILITY,
    log::CAPABILITY,
];

/// The version's number.
pub const NUMBER: &str = "0.1.2";

/// This version of the contract.
pub static VERSION: Version = Version {
    number: NUMBER,
    track: "0.1.",
    text: include_str!("../../wit/probe.wit"),
    world: "complete",
    capabilities: CAPABILITIES,
    link_types,
    guest,
    outside: OnceLock::new(),
};

/// Types have no functions, but are an instance that others refer to.
fn link_types(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
}

impl types::Host for HostState {}

/// A component's exports.
struct Exports {
    check: check::GuestIndices,
    settings: Option<settings::GuestIndices>,
}

fn guest(pre: &InstancePre<HostState>, file: &ComponentFile) -> wasmtime::Result<Arc<dyn Guest>> {
    let check = check::GuestIndices::new(pre)?;
    let settings = file.validates_settings().then(|| settings::GuestIndices::new(pre)).transpose()?;
    Ok(Arc::new(Exports { check, settings }))
}

#[async_trait]
impl Guest for Exports {
    async fn check(
        &self,
        mut store: &mut Store<HostState>,
        instance: &Instance,
        context: &Context,
    ) -> wasmtime::Result<Verdict> {
        let guest = self.check.load(&mut store, instance)?;
        let context = types::Context {
            sidecar: context.sidecar.clone(),
            host: context.host.clone(),
            port: context.port,
            attempt: context.attempt,
            elapsed_ms: context.elapsed_ms,
            remaining_ms: context.remaining_ms,
            settings: context.settings.clone(),
        };
        let milliseconds = |value: u32| Duration::from_millis(value.into());
        Ok(match guest.call_check(store, &context).await? {
            types::Verdict::Ready => Verdict::Ready,
            types::Verdict::Pending(pending) => Verdict::Pending {
                reason: pending.reason,
                retry_after: pending.retry_after_ms.map(milliseconds),
                extend: pending.extend_ms.map(milliseconds),
            },
            types::Verdict::Failed(reason) => Verdict::Failed(reason),
        })
    }

    async fn validate(
        &self,
        mut store: &mut Store<HostState>,
        instance: &Instance,
        settings: &str,
    ) -> wasmtime::Result<Vec<SettingsProblem>> {
        let Some(indices) = &self.settings else { return Ok(Vec::new()) };
        let guest = indices.load(&mut store, instance)?;
        let found = guest.call_validate(store, settings).await?.err().unwrap_or_default();
        let problem = |found: settings::Problem| SettingsProblem { path: found.path, message: found.message };
        Ok(found.into_iter().map(problem).collect())
    }

    fn validates_settings(&self) -> bool {
        self.settings.is_some()
    }
}

/// The container that a probe asks about.
fn expect(subject: Option<&Subject>) -> Result<&Subject, Denial> {
    subject.ok_or_else(|| Denial::Other("no container stands behind this probe".to_owned()))
}

/// Commands of other sidecars are in flight.
fn no_turn() -> Denial {
    Denial::Limit("waiting for other commands to end".to_owned())
}

/// The engine has no such facet. Definitions that need it are refused before anything starts.
fn unsupported() -> Denial {
    Denial::Other("the engine cannot do this".to_owned())
}

/// An engine's failure as a guest sees it. It may pass: the container's end is noticed by the wait itself.
fn engine_denial(_: &crate::engine::EngineError) -> Denial {
    Denial::Closed
}
