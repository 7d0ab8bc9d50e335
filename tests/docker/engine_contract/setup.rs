//! What a case may use beside the engine itself, whichever engine that is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use farrier::definition::{LayerDirectories, load};
use farrier::engine::{Carrier, Engine, Freshness, Progress};
use farrier::plan::instance::Instance;
use farrier::plan::reconcile::reconcile;
use farrier::plan::sidecar::{Scopes, Sidecar};
use farrier::plan::{HarnessNetwork, NetworkPlan, Plan};
use farrier::report::error::Problem;

use crate::support::PATIENT;

/// The pause before a state is looked at again.
pub const LOOK: Duration = Duration::from_millis(10);

/// An engine, names of the case's own, and what happens to it from outside.
pub trait Ground {
    fn engine(&self) -> &dyn Engine;
    /// A folder of the case's own, for definitions.
    fn folder(&self) -> PathBuf;
    /// A name that nobody else uses.
    fn name(&self, stem: &str) -> String;
    /// An image whose instances run until they are stopped.
    fn image(&self) -> String;
    /// The line of a definition that says what runs.
    fn runs(&self) -> String {
        format!("image = \"{}\"", self.image())
    }
    /// The same with these arguments for the fixture program.
    fn runs_with(&self, arguments: &[&str]) -> String {
        format!("{}\ncommand = {arguments:?}", self.runs())
    }
    /// Ends the instance's run from outside, with this exit code.
    fn end(&self, instance: &Instance, exit_code: i64);
    /// Runs a command in an instance, if something else than the engine does that: exit code and standard output.
    fn execute(&self, _instance: &Instance, _arguments: &[&str]) -> Option<(i64, String)> {
        None
    }
}

/// A test of each case on each engine; or on those that run real containers, or real processes.
macro_rules! contract {
    (@ $engine:ident, $($case:ident,)*) => {
        mod $engine {
            $(#[test]
            fn $case() {
                let Some(ground) = super::super::grounds::$engine() else { return };
                super::super::setup::run(super::$case(ground.as_ref()));
            })*
        }
    };
    (in containers: $($case:ident,)*) => {
        contract!(@ on_docker, $($case,)*);
        contract!(@ in_containers_of_this_host, $($case,)*);
        contract!(@ on_swarm, $($case,)*);
    };
    (on real engines: $($case:ident,)*) => {
        contract!(in containers: $($case,)*);
        contract!(@ on_this_host, $($case,)*);
    };
    ($($case:ident,)*) => {
        contract!(@ on_docker, $($case,)*);
        contract!(@ on_the_double, $($case,)*);
        contract!(@ in_memory, $($case,)*);
        contract!(@ on_this_host, $($case,)*);
        contract!(@ in_containers_of_this_host, $($case,)*);
        contract!(@ on_swarm, $($case,)*);
    };
}
pub(super) use contract;

/// Runs a case to its end, which must come.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = runtime.block_on(async { tokio::time::timeout(2 * PATIENT, case).await });
    limited.expect("the case ends");
}

/// The sidecar `name(stem)` that a definition with these lines declares.
pub fn sidecar(ground: &dyn Ground, stem: &str, lines: &str) -> Arc<Sidecar> {
    declared(ground, stem, &format!("{}\n{lines}\n[interface]\nkind = \"none\"", ground.runs()))
}

/// The one that a definition declares with these lines, which end with its interface.
pub fn declared(ground: &dyn Ground, stem: &str, lines: &str) -> Arc<Sidecar> {
    let name = ground.name(stem);
    let text = format!("lifecycle = \"shared\"\n{lines}\n[readiness]\nprobe = \"skip\"\n");
    let folder = ground.folder().join("definitions");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{name}.toml")), text).expect("a definition");
    let loaded = load(&LayerDirectories { user: Some(folder), ..LayerDirectories::default() });
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let definition = loaded.definitions.into_iter().find(|definition| definition.name == name);
    Arc::new(Sidecar::new(definition.expect("the definition"), &Scopes::default()))
}

/// A network of the case's own, which farrier may make.
pub fn network(ground: &dyn Ground) -> HarnessNetwork {
    let name = ground.name("net");
    HarnessNetwork { home: name.clone(), name, is_own: true, ..HarnessNetwork::default() }
}

/// A launch's part in carrying out a plan: it makes the network when it is asked to, and notes everything.
pub struct Launch<'a> {
    pub engine: &'a dyn Engine,
    pub network: NetworkPlan,
    pub told: Mutex<Vec<String>>,
}

impl Launch<'_> {
    fn note(&self, text: impl Into<String>) {
        self.told.lock().expect("notes").push(text.into());
    }
}

#[async_trait]
impl Carrier for Launch<'_> {
    fn tell(&self, progress: Progress<'_>) {
        self.note(match progress {
            Progress::NetworkCreated(_) => "network created",
            Progress::Pulling { .. }
            | Progress::PullProgress { .. }
            | Progress::Pulled { .. }
            | Progress::Delayed { .. } => return,
            Progress::Stopping { .. } => "stopping",
            Progress::Created { .. } => "created",
            Progress::Started { .. } => "started",
        });
    }

    async fn network(&self) -> Result<(), Problem> {
        if self.network.is_untouched() {
            return Ok(());
        }
        self.engine.make_network(&self.network, self).await
    }

    fn mark(&self, _: &Sidecar, _: &str) -> Result<(), Problem> {
        self.note("marked");
        Ok(())
    }

    fn used_by_others(&self, _: &Instance) -> Vec<String> {
        Vec::new()
    }
}

impl dyn Ground + '_ {
    /// What a launch of these sidecars would do now.
    pub async fn plan(&self, sidecars: &[Arc<Sidecar>]) -> Plan {
        let snapshot = self.engine().observe(sidecars, &network(self), Freshness::Current).await;
        reconcile(sidecars, snapshot.expect("an answer"), false).expect("a plan")
    }

    /// Carries such a plan out, and gives what was told on the way.
    pub async fn launch(&self, sidecars: &[Arc<Sidecar>]) -> Vec<String> {
        let plan = self.plan(sidecars).await;
        let network = plan.network.clone();
        let launch = Launch { engine: self.engine(), network, told: Mutex::default() };
        for part in &plan.sidecars {
            let done = self.engine().carry_out(part, &plan.network.name, &launch).await;
            done.unwrap_or_else(|problem| panic!("{problem}"));
        }
        launch.told.into_inner().expect("notes")
    }

    pub async fn inspect(&self, sidecar: &Sidecar) -> Option<Instance> {
        self.engine().inspect(&sidecar.container).await.expect("an answer")
    }

    /// Waits until the sidecar's instance is in such a state.
    pub async fn until(&self, sidecar: &Sidecar, reached: impl Fn(&Instance) -> bool) -> Instance {
        let waiting = async {
            loop {
                if let Some(found) = self.inspect(sidecar).await.filter(&reached) {
                    return found;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENT, waiting).await.expect("the state is reached")
    }
}
