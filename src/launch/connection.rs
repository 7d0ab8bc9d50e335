//! The way to an engine. What an engine is takes it longer to say than all else that a launch asks whose sidecars run:
//! Docker starts two programs for it. So it is asked only by whoever needs it, and once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::engine::kinds::{Choice, EngineKind, Opened};
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineError, EngineErrorKind, EngineInfo, EngineResult};
use crate::event::{Event, Reporter};
use crate::preparation::settings::Settings;
use crate::report::error::Problem;

/// An engine, and what it says of itself once it is asked.
pub struct Connection {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where it is, and who said so; empty if nobody did.
    pub place: String,
    /// Whether everybody expects an engine of its kind there.
    is_usual: bool,
    /// What a failure to reach it kept farrier from.
    doing: String,
    /// When the command began to use it.
    begun: Instant,
    info: Shared<BoxFuture<'static, EngineResult<EngineInfo>>>,
    /// Whether it was told that it answers.
    told: AtomicBool,
}

impl Connection {
    /// To an engine. Nothing is asked yet.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let asked = Arc::clone(&engine);
        let info = async move { asked.info().await }.boxed().shared();
        Self {
            engine,
            place: String::new(),
            is_usual: true,
            doing: "use the engine".to_owned(),
            begun: Instant::now(),
            info,
            told: AtomicBool::new(false),
        }
    }

    /// Its product, its place, and who said so; `None` if the usual product is at the usual place. This asks nothing: the
    /// product is certain once the engine has answered something.
    #[must_use]
    pub fn unexpected(&self) -> Option<String> {
        let product = self.engine.product();
        let is_expected = self.is_usual && product == self.engine.capabilities().product;
        (!is_expected).then(|| format!("{product} at {}", self.place))
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

/// The engine of this kind that this choice and the environment name. It is not asked anything yet.
///
/// # Errors
/// If there is no such address.
pub fn open(kind: EngineKind, choice: &Choice, settings: &Settings) -> Result<Connection, Problem> {
    let Opened { engine, place, is_usual } = kind.open(choice, &settings.environment, &settings.folders())?;
    let doing = format!("use the engine at {place}");
    Ok(Connection { place, is_usual, doing, ..Connection::new(engine) })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::engine::docker::Docker;
    use crate::engine::docker::double::Double;

    #[test]
    fn an_engine_is_unexpected_at_another_place() {
        let usual = Connection::new(Arc::new(Docker::over(Arc::new(Double::new()), true)));
        assert_eq!(usual.unexpected(), None);
        let elsewhere = Connection { place: "ssh://me@h (DOCKER_HOST)".to_owned(), is_usual: false, ..usual };
        assert_eq!(elsewhere.unexpected().as_deref(), Some("Docker at ssh://me@h (DOCKER_HOST)"));
    }

    #[tokio::test]
    async fn events_are_wanted_since_the_launch_began_however_late_the_answer_comes() {
        let connection = Connection::new(Arc::new(Docker::over(Arc::new(Double::new()), true)));
        let info = connection.info().await.expect("it tells");
        let answered = info.moment().expect("a moment");
        let since = connection.moment().await.expect("a moment");
        let since = EngineInfo { time: since, ..info }.moment().expect("a moment");
        assert!(since < answered, "{since} {answered}");
    }
}
