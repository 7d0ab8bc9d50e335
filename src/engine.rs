//! The engine as the rest of farrier sees it: where sidecars live.
//!
//! An engine says what it can do, observes what is there together with what each decision would take
//! ([`Engine::observe`]), carries out the plan that the core makes of that, reports changes, and says how to reach what
//! it runs. It decides nothing. `docker` speaks to Docker and to what has its API; `swarm` to a manager of a Docker
//! Swarm; `native` runs programs and containers on this host; `memory` is an engine of a different kind, without
//! executions, logs or health, that lives in this process. `tests/docker/engine_contract` runs one suite on every
//! engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::engine::dialler::Dialler;
use crate::plan::instance::Instance;
use crate::plan::session::Session;
use crate::plan::sidecar::Sidecar;
use crate::plan::snapshot::{Found, Snapshot};
use crate::plan::{HarnessNetwork, NetworkPlan, SidecarPlan};
use crate::report::error::Problem;
use crate::system::leases::Leases;
use crate::system::lock::Holder;

pub mod capabilities;
pub(crate) mod copies;
pub mod dialler;
pub mod docker;
mod error;
pub mod image_file;
pub mod kinds;
pub mod limited;
mod machine;
pub mod memory;
#[cfg(target_os = "linux")]
pub mod native;
#[cfg(not(target_os = "linux"))]
#[path = "engine/native_elsewhere.rs"]
pub mod native;
mod output;
pub mod problem;
pub mod registry;
mod replaced_volumes;
pub mod swarm;

pub use capabilities::{Availability, Capabilities, EngineFeature, HostFiles};
pub use error::{EngineError, EngineErrorKind, EngineResult, Meaning, meaning_of_log};
pub use output::{Attached, ExecOutput, ExecRequest, OutputRequest, PullProgress, Written};

/// Which images a relay may run in, beside the engine's own.
#[derive(Clone, Debug, Default)]
pub struct RelayImages {
    /// The one that the user named.
    pub named: Option<String>,
    /// Others that may serve, the preferred one first.
    pub others: Vec<String>,
}

/// The engine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Stable across restarts; keys the locks.
    pub id: String,
    /// Seconds and nanoseconds since 1970 by the engine's clock, as [`Engine::changes`] takes it.
    pub time: String,
    /// Its version (`20.10.24`).
    pub version: String,
    /// As the engine names it (`x86_64`).
    pub architecture: String,
    /// Whether it is reached over a socket of this host.
    pub local: bool,
}

impl EngineInfo {
    /// The moment of its answer by its own clock.
    #[must_use]
    pub fn moment(&self) -> Option<jiff::Timestamp> {
        let (seconds, nanoseconds) = self.time.split_once('.')?;
        jiff::Timestamp::new(seconds.parse().ok()?, nanoseconds.parse().ok()?).ok()
    }
}

/// A container as the events of its creation tell it; it may be gone already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedContainer {
    /// Its name, without the leading slash.
    pub name: String,
    /// What it was created from, as it was named then.
    pub image: String,
    /// Its labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// The networks that it was connected to, by name; empty if it was never started.
    pub networks: Vec<String>,
}

/// A volume that farrier made because a definition names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnVolume {
    /// The engine's name for it.
    pub name: String,
    /// Its labels, which say whose it is.
    pub labels: BTreeMap<String, String>,
    /// The node that it lies on, in words, if this command cannot remove it there.
    pub lies_on: Option<String>,
}

/// What happened to an instance. A change only wakes those who wait for the instance, who then look for themselves: one
/// that is repeated, late or lost costs a look, never a wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The instance's id.
    pub instance: String,
    /// What happened.
    pub kind: ChangeKind,
    /// Nanoseconds since 1970 by the engine's clock; 0 if the engine did not tell.
    pub time: i64,
}

/// What happened to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A run began.
    Started,
    /// Somebody sent it a signal from outside.
    Signalled,
    /// The kernel killed it for memory.
    OutOfMemory,
    /// A run ended, or the instance is gone.
    Ended,
    /// Anything else.
    Other,
}

/// How current an observation has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// What cannot change any more may come from a cache.
    Cached,
    /// Every answer comes from the engine: something will be recreated or refused because of it.
    Current,
}

/// How far carrying out a plan is.
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// The launch's network was created.
    NetworkCreated(&'a str),
    /// A pull began.
    Pulling {
        /// For which sidecar.
        sidecar: &'a str,
        /// What.
        image: &'a str,
    },
    /// A pull went on.
    PullProgress {
        /// For which sidecar.
        sidecar: &'a str,
        /// How far.
        progress: PullProgress,
    },
    /// A pull ended, and the image is there.
    Pulled {
        /// For which sidecar.
        sidecar: &'a str,
        /// What.
        image: &'a str,
    },
    /// An instance that is recreated or removed was asked to end.
    Stopping {
        /// Whose.
        sidecar: &'a str,
        /// The instance's id.
        instance: &'a str,
        /// How long it may take before the engine kills it.
        grace: Duration,
    },
    /// An instance that is made takes long to start.
    Delayed {
        /// Whose.
        sidecar: &'a str,
        /// What it waits for, as a sentence without a full stop.
        reason: &'a str,
    },
    /// An instance was created, and has its name.
    Created {
        /// Whose.
        sidecar: &'a str,
        /// The instance's id.
        instance: &'a str,
    },
    /// An instance was started or resumed.
    Started {
        /// Whose.
        sidecar: &'a str,
        /// The instance's id.
        instance: &'a str,
    },
}

/// What an engine needs of the launch while it carries out a plan.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Takes in how far it is.
    fn tell(&self, progress: Progress<'_>);
    /// Makes the launch's network ready, the first time that an instance is about to join it.
    async fn network(&self) -> Result<(), Problem>;
    /// Marks an instance as used by this launch: before it starts, and before it is connected.
    ///
    /// # Errors
    /// If the mark cannot be written.
    fn mark(&self, sidecar: &Sidecar, instance: &str) -> Result<(), Problem>;
    /// The ids of an instance, and of those that it replaced, that other launches use.
    fn used_by_others(&self, instance: &Instance) -> Vec<String>;
}

/// What a person could do on this engine without farrier, for next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand<'a> {
    /// See whether the engine is well.
    SeeEngine,
    /// See all of an instance, by its name.
    Inspect(&'a str),
    /// Resume a paused instance, by its name.
    Resume(&'a str),
    /// Remove volumes, by their names.
    RemoveVolumes(&'a [String]),
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug)]
pub enum Intent<'a> {
    /// It uses these sidecars on the network, and makes them first where they are not as declared.
    Use(&'a [Arc<Sidecar>], &'a HarnessNetwork),
    /// It removes the instances of these names.
    Removal(&'a [&'a str]),
}

/// A command's mark of what it is about to do, where commands on other machines see it.
#[async_trait]
pub trait Use: Send + Sync {
    /// Takes the mark away from all but these instances.
    async fn keep(&self, instances: &[&Instance]) -> EngineResult<()>;
    /// The commands on other machines that made their marks earlier, by the names of instances that both mark.
    async fn earlier(&self) -> EngineResult<BTreeMap<String, Vec<Holder>>>;
    /// Takes the mark away.
    async fn end(self: Box<Self>);
}

/// An image that was pulled again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repulled {
    /// Its id.
    pub id: String,
    /// The id that its name had before; `None` if the engine did not have it.
    pub before: Option<String>,
}

/// How well something about an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub text: String,
    /// What to do about it; `None` if all is well.
    pub way_out: Option<&'static str>,
}

/// An engine. Every call that it has to answer may fail at any time.
///
/// # Errors
/// Each call returns an [`EngineError`] whose kind says what the caller can do about it, or a [`Problem`] if only the
/// engine knows what to tell a person.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What it can do. No call needs this: it is known before anything is asked.
    fn capabilities(&self) -> Capabilities;
    /// The product that answers: `Podman`. Before the first answer, it is the one that the capabilities name.
    fn product(&self) -> &'static str {
        self.capabilities().product
    }
    /// Identity, clock and place of the engine.
    async fn info(&self) -> EngineResult<EngineInfo>;

    /// Looks at everything that a decision about these sidecars needs; changes nothing.
    async fn observe(
        &self,
        wanted: &[Arc<Sidecar>],
        network: &HarnessNetwork,
        freshness: Freshness,
    ) -> EngineResult<Snapshot>;
    /// The name of the network that somebody named, maybe by its id.
    async fn network_name(&self, named: &str) -> EngineResult<String>;
    /// Makes the launch's network as planned. The caller holds the network's lock.
    async fn make_network(&self, plan: &NetworkPlan, carrier: &dyn Carrier) -> Result<(), Problem>;
    /// Fetches what a sidecar's part of a plan needs, while others are waited for that it comes after; nothing is made.
    /// Afterwards the part is carried out without its pull.
    async fn fetch(&self, _part: &SidecarPlan, _carrier: &dyn Carrier) -> Result<(), Problem> {
        Ok(())
    }
    /// Carries out one sidecar's part of a plan, after which its instance runs; a job's may have ended. A replacement
    /// is one transaction: after a failure, nothing half-made is left behind if that can be avoided.
    async fn carry_out(
        &self,
        part: &SidecarPlan,
        network: &str,
        carrier: &dyn Carrier,
    ) -> Result<(), Problem>;
    /// Takes instances off the networks that only launches like this one needed and that none needs any more. What goes
    /// wrong is left to the next launch.
    async fn leave(&self, _used: &[(Sidecar, String)], _home: &str, _: &Leases) -> EngineResult<()> {
        Ok(())
    }

    /// An instance by its name or id; `None` if there is none.
    async fn inspect(&self, instance: &str) -> EngineResult<Option<Instance>>;
    /// Whether each of these runs still goes on at its address on the network. One call, however many there are. False may
    /// also mean that the engine leaves it in doubt: the instance has to be inspected.
    async fn still_running(&self, runs: &[&Instance], network: &str) -> EngineResult<Vec<bool>>;
    /// What happens to sidecars' instances from this moment of the engine's clock on.
    async fn changes(&self, since: &str) -> EngineResult<BoxStream<'static, EngineResult<Change>>>;

    /// Whether this host certainly reaches the instance's own address on the network.
    fn is_direct(&self, instance: &Instance, network: &str) -> bool;
    /// Whether the network was seen, and this host reaches no instance's own address there: then another way can be begun before
    /// there is an instance.
    fn is_away(&self, _network: &str) -> bool {
        false
    }
    /// Another way to instances on the network; or why there is none.
    async fn relay(
        &self,
        network: &str,
        images: &RelayImages,
    ) -> EngineResult<Result<Arc<dyn Dialler>, String>>;

    /// Says what this command is about to do where commands on other machines see it, before anything is looked at: of two that
    /// are at it, the later one then sees the earlier one. `None` for an engine whose users all see the marks on this host.
    async fn begin_use(&self, _: Intent<'_>, _command: &str) -> EngineResult<Option<Box<dyn Use>>> {
        Ok(None)
    }

    /// A sidecar's instance, and what a decision about it needs; `None` if there is none.
    async fn find(&self, sidecar: &Sidecar) -> EngineResult<Option<Found>>;
    /// Every instance that farrier made, with the declared sidecar that it belongs to, if any.
    async fn inventory(&self, declared: &[Arc<Sidecar>]) -> EngineResult<Vec<(Found, Option<Arc<Sidecar>>)>>;
    /// Stops an instance and removes it, and what an interrupted recreation left beside it. False if another instance has
    /// its name now: then nothing is changed.
    async fn remove(
        &self,
        sidecar: &str,
        instance: &Instance,
        tell: &(dyn for<'a> Fn(Progress<'a>) + Sync),
    ) -> EngineResult<bool>;
    /// Removes what interrupted commands left here and nothing needs. What goes wrong is left to the next command.
    async fn sweep(&self) {}
    /// What has not ended yet of an instance that was removed, in words, and why; `None` if all has.
    async fn still_ending(&self, _: &Instance) -> EngineResult<Option<String>> {
        Ok(None)
    }
    /// The volumes that farrier made because definitions name them.
    async fn volumes(&self) -> EngineResult<Vec<OwnVolume>> {
        Ok(Vec::new())
    }
    /// Removes a volume that no instance has; [`EngineErrorKind::Conflict`] if one has it.
    async fn remove_volume(&self, name: &str) -> EngineResult<()>;
    /// The names of the networks that farrier made.
    async fn own_networks(&self) -> EngineResult<Vec<String>>;
    /// Removes a network that farrier made, unless something is on it or would miss it. The caller has claimed it. Whether
    /// it is gone.
    async fn remove_network(&self, name: &str) -> EngineResult<bool>;

    /// The sessions of which anything is there, whether they go on or not.
    async fn sessions(&self) -> EngineResult<BTreeSet<Session>> {
        let (instances, volumes) = (self.inventory(&[]).await?, self.volumes().await?);
        let labels = instances.iter().map(|(found, _)| &found.instance.labels);
        Ok(labels.chain(volumes.iter().map(|volume| &volume.labels)).filter_map(Session::of).collect())
    }
    /// Removes what is left of a session beside its instances and volumes: its network, which shared sidecars leave, and what
    /// was being made or removed. Whether there was any.
    async fn remove_session_network(&self, _session: &Session, _: &Leases) -> EngineResult<bool> {
        Ok(false)
    }

    /// The containers that were created between two moments of the engine's clock (seconds since 1970, with a fraction), as
    /// far as the engine still knows.
    async fn created(&self, _since: &str, _until: &str) -> EngineResult<Vec<CreatedContainer>> {
        Ok(Vec::new())
    }
    /// How well the way to its instances is, for `farrier doctor`: about what each finding is (`route`, `relay`), and the
    /// finding.
    async fn examine(&self) -> Vec<(&'static str, EngineResult<Finding>)> {
        Vec::new()
    }
    /// Pulls an image again, whatever this engine has under its name; `None` if people do that with the engine's own client.
    async fn pull_again(&self, _image: &str) -> Result<Option<Repulled>, Problem> {
        Ok(None)
    }
    /// Removes what is kept for sidecars and none uses, such as images of the engine's own, and if asked also volumes
    /// that no definition names; says how much of what.
    async fn prune(&self, _volumes: bool) -> EngineResult<Vec<String>> {
        Ok(Vec::new())
    }
    /// The command by which a person does this on the engine; `None` if there is none.
    fn by_hand(&self, _: ByHand<'_>) -> Option<String> {
        None
    }

    /// Images; `None` for an engine that has none.
    fn images(&self) -> Option<&dyn Images> {
        None
    }
    /// Executions in instances; `None` for an engine that cannot.
    fn exec(&self) -> Option<&dyn Exec> {
        None
    }
    /// What instances write; `None` for an engine that does not keep it.
    fn logs(&self) -> Option<&dyn Logs> {
        None
    }
}

/// An image that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentImage {
    /// Its id, which never names another image.
    pub id: String,
    /// The TCP ports that it exposes, in ascending order.
    pub ports: Vec<u16>,
    /// Whether it has a health test.
    pub has_health_test: bool,
}

/// The images of an engine.
#[async_trait]
pub trait Images: Send + Sync {
    /// An image by reference or id; `None` if it is not present.
    async fn present(&self, reference: &str) -> EngineResult<Option<PresentImage>>;
}

/// Executions in instances.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs a command to its end.
    async fn exec(&self, instance: &str, request: &ExecRequest) -> EngineResult<ExecOutput>;
}

/// What instances write.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The newest lines since a moment (RFC 3339), oldest first.
    async fn logs(&self, instance: &str, since: &str, lines: usize) -> EngineResult<Vec<String>>;
    /// What an instance wrote, as it wrote it; a failure may also come as an item.
    async fn output(
        &self,
        instance: &str,
        request: &OutputRequest,
    ) -> EngineResult<BoxStream<'static, EngineResult<Written>>>;
}
