//! The way to an engine, and what it is.
//!
//! Saying what it is takes an engine longer than all else that a launch asks whose sidecars run: Docker starts two
//! programs for it. So what it said is kept, and a launch begins with that, under the locks that go with it. Nothing is
//! changed, and no harness starts, before it is certain that the engine is still the same one: a network is on it that
//! can be on no other one, or it has said so once more, asked beside everything else.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde::{Deserialize, Serialize};

use self::remembered::Remembered;
use crate::engine::address::{self, Choice};
use crate::engine::bounded::{Bounded, Patience};
use crate::engine::docker::DockerEngine;
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineInfo, EngineResult};
use crate::preparation::settings::Settings;
use crate::report::error::Problem;

mod remembered;

/// What an engine is, for as long as another one does not take its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id, which keys the locks.
    pub id: String,
    /// As it names it (`x86_64`).
    pub architecture: String,
    /// Whether it is reached over a socket of this host.
    #[serde(skip)]
    pub local: bool,
}

impl From<&EngineInfo> for Identity {
    fn from(info: &EngineInfo) -> Self {
        Self { id: info.id.clone(), architecture: info.architecture.clone(), local: info.local }
    }
}

impl Identity {
    /// Whether this is the engine that says this of itself.
    #[must_use]
    pub fn is_of(&self, info: &EngineInfo) -> bool {
        self.is_same(&Self::from(info))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.architecture == other.architecture
    }
}

type Answer = Shared<BoxFuture<'static, EngineResult<EngineInfo>>>;

/// An engine, and what it says or is expected to say of itself.
pub struct Connected {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The folder of docker's client configuration, for credentials.
    pub docker_config: PathBuf,
    /// What it is: by its own answer, or by the one that is remembered.
    pub identity: Identity,
    /// Whether it is the remembered one.
    pub is_remembered: bool,
    remembered: Option<Arc<Remembered>>,
    /// The id by which the launch's network proves that it is the remembered one.
    proof: Option<String>,
    /// Name and id of the launch's network.
    seen: OnceLock<(String, String)>,
    /// When all of this began.
    begun: Instant,
    answer: Answer,
    doing: String,
}

impl Connected {
    /// An engine that has said what it is.
    #[must_use]
    pub fn known(engine: Arc<dyn Engine>, info: EngineInfo, docker_config: PathBuf) -> Self {
        let identity = Identity::from(&info);
        Self::new(engine, identity, docker_config, async move { Ok(info) }.boxed().shared())
    }

    /// One that is remembered to be this: what proves it is the id of the launch's network, or else its word.
    ///
    /// # Panics
    /// Without a proof, outside of a runtime.
    #[must_use]
    pub fn remembered(
        engine: Arc<dyn Engine>,
        identity: Identity,
        docker_config: PathBuf,
        proof: Option<String>,
    ) -> Self {
        let asked = Arc::clone(&engine);
        let answer = async move { asked.info().await }.boxed().shared();
        let connected = Self::new(engine, identity, docker_config, answer);
        Self { is_remembered: true, proof, ..connected }.asked_where_nothing_proves_it()
    }

    fn new(engine: Arc<dyn Engine>, identity: Identity, docker_config: PathBuf, answer: Answer) -> Self {
        Self {
            engine,
            docker_config,
            identity,
            is_remembered: false,
            remembered: None,
            proof: None,
            seen: OnceLock::new(),
            begun: Instant::now(),
            answer,
            doing: "use the engine".to_owned(),
        }
    }

    /// Asks without waiting for the answer.
    fn asked_where_nothing_proves_it(self) -> Self {
        if self.proof.is_none() {
            tokio::spawn(self.answer.clone());
        }
        self
    }

    /// What the engine says that it is, now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn answer(&self) -> Result<EngineInfo, Problem> {
        self.answer.clone().await.map_err(|error| engine_problem(&self.doing, &error))
    }

    /// The moment at which the launch began, or an earlier one, by the engine's clock; none where it does not answer.
    pub async fn moment(&self) -> Option<String> {
        let answered = self.answer.clone().await.ok()?.moment()?;
        let began = answered.checked_sub(self.begun.elapsed()).ok()?;
        Some(format!("{}.{:09}", began.as_second(), began.subsec_nanosecond()))
    }

    /// Takes note of the launch's network, which may prove that the engine is the remembered one.
    pub fn saw_network(&self, name: &str, id: &str) {
        self.seen.get_or_init(|| (name.to_owned(), id.to_owned()));
    }

    /// Whether the engine is what it is taken for. Only what its network does not prove waits for its answer; with that,
    /// the network is a proof for later launches. An answer that came all the same counts more than any proof.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn is_certain(&self) -> Result<bool, Problem> {
        let seen = self.seen.get();
        let is_proven = seen.is_some_and(|(_, id)| self.proof.as_ref() == Some(id));
        if is_proven && !matches!(self.answer.peek(), Some(Ok(_))) {
            return Ok(true);
        }
        let is_it = self.identity.is_of(&self.answer().await?);
        if let (true, Some((name, id)), Some(remembered)) = (is_it, seen, &self.remembered) {
            remembered.keep_network(&self.identity, name, id);
        }
        Ok(is_it)
    }

    /// Asks the engine what it is, and comes back only if that is something else than it is taken for.
    pub async fn contradicted(&self) {
        let is_another = |info: EngineInfo| !self.identity.is_of(&info);
        if !self.answer.clone().await.is_ok_and(is_another) {
            std::future::pending::<()>().await;
        }
    }

    /// The same engine, when it has said what it is.
    #[must_use]
    pub fn corrected(&self, info: &EngineInfo) -> Self {
        let (engine, config) = (Arc::clone(&self.engine), self.docker_config.clone());
        let corrected = Self::new(engine, Identity::from(info), config, self.answer.clone());
        let (remembered, doing) = (self.remembered.clone(), self.doing.clone());
        Self { remembered, doing, begun: self.begun, ..corrected }
    }
}

/// Connects to the engine that this choice and the environment name, and asks what it is.
///
/// # Errors
/// When there is no such address, or no engine answers there.
pub async fn connect(choice: &Choice, settings: &Settings) -> Result<Connected, Problem> {
    let connected = begin(choice, settings)?;
    let info = connected.answer().await?;
    Ok(connected.corrected(&info))
}

/// The same, but an engine that is remembered at this address is not waited for, and not even asked where this network
/// may prove that it is the same one.
///
/// # Errors
/// When there is no such address, or no engine answers there.
pub async fn connect_to_remembered(
    choice: &Choice,
    settings: &Settings,
    network: &str,
) -> Result<Connected, Problem> {
    let connected = begin(choice, settings)?;
    let remembered = connected.remembered.as_ref();
    if let Some(identity) = remembered.and_then(|remembered| remembered.identity()) {
        let identity = Identity { local: connected.identity.local, ..identity };
        let proof = remembered.and_then(|remembered| remembered.network(network));
        let connected = Connected { identity, is_remembered: true, proof, ..connected };
        return Ok(connected.asked_where_nothing_proves_it());
    }
    let info = connected.answer().await?;
    Ok(connected.corrected(&info))
}

/// An engine of which nothing is said or remembered yet but where it is.
fn begin(choice: &Choice, settings: &Settings) -> Result<Connected, Problem> {
    let address = address::resolve(choice, &settings.environment)?;
    let doing = format!("use the engine at {} ({})", address.host, address.origin);
    let engine = DockerEngine::open(&address).map_err(|error| engine_problem(&doing, &error))?;
    let engine: Arc<dyn Engine> = Arc::new(Bounded::new(engine, Patience::default()));
    let remembered = settings.cache.as_deref().and_then(|cache| Remembered::of(cache, &address.host));
    let remembered = remembered.map(Arc::new);
    let identity = Identity { id: String::new(), architecture: String::new(), local: address.is_local() };
    let (asked, keeps) = (Arc::clone(&engine), remembered.clone());
    let answer = async move {
        let info = asked.info().await?;
        if let Some(remembered) = keeps {
            remembered.keep_identity(&Identity::from(&info));
        }
        Ok(info)
    };
    let connected = Connected::new(engine, identity, address.config, answer.boxed().shared());
    Ok(Connected { remembered, doing, ..connected })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::engine::memory::MemoryEngine;

    #[tokio::test]
    async fn events_are_wanted_since_the_launch_began_however_late_the_answer_comes() {
        let engine = Arc::new(MemoryEngine::new());
        let info = engine.info().await.expect("it tells");
        let answered = info.moment().expect("a moment");
        let connected = Connected::known(engine, info.clone(), PathBuf::new());
        let since = connected.moment().await.expect("a moment");
        let since = EngineInfo { time: since, ..info }.moment().expect("a moment");
        assert!(since < answered, "{since} {answered}");
    }
}
