//! What farrier asks of a guest and what it answers, in no version of the contract: each version translates it
//! (`since_0_1_0`).

use std::time::Duration;

use async_trait::async_trait;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::store::HostState;

/// What a poll is about, and how the wait stands.
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
    /// Milliseconds until it is given up.
    pub remaining_ms: u64,
    /// The definition's `readiness.settings` as one JSON object.
    pub settings: String,
}

/// A probe's answer to one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves.
    Ready,
    /// Not yet.
    Pending {
        /// What was seen.
        reason: String,
        /// Not to poll again before.
        retry_after: Option<Duration>,
        /// How far away the deadline is to be at least.
        extend: Option<Duration>,
    },
    /// It never will be.
    Failed(String),
    /// The probe itself broke; the sentence says how.
    Crashed(String),
    /// The poll took longer than its limit.
    TimedOut,
}

/// Something that a probe finds wrong with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The field within the settings, empty for the whole.
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
