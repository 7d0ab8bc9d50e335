//! The way to an engine. What an engine is takes it longer to say than all else that a launch asks whose sidecars run:
//! Docker starts two programs for it. So it is asked only by whoever needs it, and once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::engine::address::{self, Choice};
use crate::engine::bounded::{Bounded, Patience};
use crate::engine::docker::DockerEngine;
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineError, EngineErrorKind, EngineInfo, EngineResult};
use crate::event::{Event, Reporter};
use crate::preparation::settings::Settings;
use crate::report::error::Problem;

/// An engine, and what it says of itself once it is asked.
pub struct Connection {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The folder of docker's client configuration, for credentials.
    pub docker_config: PathBuf,
    /// Whether it is reached over a socket of this host.
    pub local: bool,
    /// Where it is, as it is told apart from others in caches.
    pub address: String,
    /// What a failure to reach it kept farrier from.
    doing: String,
    /// When the command began to use it.
    begun: Instant,
    info: Shared<BoxFuture<'static, EngineResult<EngineInfo>>>,
    /// Whether it was told that it answers.
    told: AtomicBool,
}

impl Connection {
    /// An engine at an address. Nothing is asked yet.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, address: String, docker_config: PathBuf, local: bool) -> Self {
        let asked = Arc::clone(&engine);
        let info = async move { asked.info().await }.boxed().shared();
        let doing = "use the engine".to_owned();
        let told = AtomicBool::new(false);
        Self { engine, docker_config, local, address, doing, begun: Instant::now(), info, told }
    }

    /// What the engine says that it is. It is asked once.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn info(&self) -> Result<EngineInfo, Problem> {
        self.info.clone().await.map_err(|error| engine_problem(&self.doing, &error))
    }

    /// Tells that the engine answered, the first time.
    pub fn answered(&self, reporter: &Reporter) {
        if !self.told.swap(true, Ordering::Relaxed) {
            reporter.tell(&Event::Connected);
        }
    }

    /// The moment at which the command began, or an earlier one, by the engine's clock; `None` if it does not answer.
    pub async fn moment(&self) -> Option<String> {
        let answered = self.info.clone().await.ok()?.moment()?;
        let began = answered.checked_sub(self.begun.elapsed()).ok()?;
        Some(format!("{}.{:09}", began.as_second(), began.subsec_nanosecond()))
    }

    /// What to tell of a failure: an engine that is not there at all is named, with where its address comes from.
    #[must_use]
    pub fn problem(&self, doing: &str, error: &EngineError) -> Problem {
        let is_absent =
            matches!(error.kind, EngineErrorKind::Unreachable | EngineErrorKind::PermissionDenied);
        engine_problem(if is_absent { &self.doing } else { doing }, error)
    }
}

/// The engine that this choice and the environment name. It is not asked anything yet.
///
/// # Errors
/// If there is no such address.
pub fn open(choice: &Choice, settings: &Settings) -> Result<Connection, Problem> {
    let address = address::resolve(choice, &settings.environment)?;
    let doing = format!("use the engine at {} ({})", address.host, address.origin);
    let engine = DockerEngine::open(&address).map_err(|error| engine_problem(&doing, &error))?;
    let engine: Arc<dyn Engine> = Arc::new(Bounded::new(engine, Patience::default()));
    let local = address.is_local();
    Ok(Connection { doing, ..Connection::new(engine, address.host, address.config, local) })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::engine::memory::MemoryEngine;

    #[tokio::test]
    async fn events_are_wanted_since_the_launch_began_however_late_the_answer_comes() {
        let connection = Connection::new(Arc::new(MemoryEngine::new()), String::new(), PathBuf::new(), true);
        let info = connection.info().await.expect("it tells");
        let answered = info.moment().expect("a moment");
        let since = connection.moment().await.expect("a moment");
        let since = EngineInfo { time: since, ..info }.moment().expect("a moment");
        assert!(since < answered, "{since} {answered}");
    }
}
