//! What farrier asks of a guest and what it answers, in no version of the contract: each version translates it
//! (`since_0_1_0`).

use std::time::Duration;

use async_trait::async_trait;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::store::HostState;

/// The sidecar to check, and the state of the wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The sidecar's name.
    pub sidecar: String,
    /// The name under which the harness dials the sidecar.
    pub host: String,
    /// The declared port.
    pub port: Option<u16>,
    /// 1 on the first poll of this wait.
    pub attempt: u32,
    /// Milliseconds since the wait began.
    pub elapsed_ms: u64,
    /// Milliseconds until the wait ends.
    pub remaining_ms: u64,
    /// The definition's `readiness.settings` as one JSON object.
    pub settings: String,
}

/// A probe's answer to one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The probe has evidence that the sidecar works.
    Ready,
    /// The sidecar is not ready yet.
    Pending {
        /// What the probe saw.
        reason: String,
        /// The shortest pause before the next poll.
        retry_after: Option<Duration>,
        /// The least time to which the deadline is extended, counted from now.
        extend: Option<Duration>,
    },
    /// The sidecar will never be ready.
    Failed(String),
    /// The probe itself broke; the sentence says how.
    Crashed(String),
    /// The poll took longer than its limit.
    TimedOut,
}

/// Something that a probe finds wrong with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The field within the settings; empty for the settings as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A component's exports, as a version of the contract has them.
#[async_trait]
pub trait Guest: Send + Sync {
    /// Asks for a verdict; its texts are as the guest wrote them.
    ///
    /// # Errors
    /// When the guest traps.
    async fn check(
        &self,
        store: &mut Store<HostState>,
        instance: &Instance,
        context: &Context,
    ) -> wasmtime::Result<Verdict>;

    /// Has the guest check its settings; it finds nothing if it exports no check of them.
    ///
    /// # Errors
    /// When the guest traps.
    async fn validate(
        &self,
        store: &mut Store<HostState>,
        instance: &Instance,
        settings: &str,
    ) -> wasmtime::Result<Vec<SettingsProblem>>;

    /// Whether the guest checks its settings.
    fn validates_settings(&self) -> bool;
}
