//! The way to an engine, and what it is.
//!
//! Saying what it is takes an engine longer than all else that a launch asks whose sidecars run: Docker starts two
//! programs for it. So what it said is kept, and a launch begins with that, under the locks that go with it, while the
//! engine is asked again. Nothing is changed, and no harness starts, before the answer is the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde::{Deserialize, Serialize};

use crate::apply::engine_problem;
use crate::engine::address::{self, Choice};
use crate::engine::bounded::{Bounded, Patience};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineInfo, EngineResult};
use crate::error::Problem;
use crate::private_files::{private_folder, read_private, write_atomically};
use crate::settings::Settings;
use crate::sidecar::sha256_hex;

/// Changes with the form of the entries.
const FORMAT: u32 = 1;
/// An entry has a tenth of it.
const ENTRY_BYTES: u64 = 4096;

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
    answer: Answer,
    doing: String,
}

impl Connected {
    /// An engine that has said what it is.
    #[must_use]
    pub fn known(engine: Arc<dyn Engine>, info: EngineInfo, docker_config: PathBuf) -> Self {
        let identity = Identity::from(&info);
        let answer = async move { Ok(info) }.boxed().shared();
        Self {
            engine,
            docker_config,
            identity,
            is_remembered: false,
            answer,
            doing: "use the engine".to_owned(),
        }
    }

    /// One that is remembered to be this, and is asked from now on, whatever else it is asked.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn remembered(engine: Arc<dyn Engine>, identity: Identity, docker_config: PathBuf) -> Self {
        let asked = Arc::clone(&engine);
        let answer = async move { asked.info().await }.boxed().shared();
        let doing = "use the engine".to_owned();
        Self { engine, docker_config, identity, is_remembered: true, answer, doing }.asked()
    }

    fn asked(self) -> Self {
        tokio::spawn(self.answer.clone());
        self
    }

    /// What the engine says that it is, now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn answer(&self) -> Result<EngineInfo, Problem> {
        self.answer.clone().await.map_err(|error| engine_problem(&self.doing, &error))
    }

    /// The moment of its answer by its own clock; none where it does not answer.
    pub async fn moment(&self) -> Option<String> {
        self.answer.clone().await.ok().map(|info| info.time)
    }

    /// The same engine, when it has said what it is.
    #[must_use]
    pub fn corrected(&self, info: &EngineInfo) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            docker_config: self.docker_config.clone(),
            identity: Identity::from(info),
            is_remembered: false,
            answer: self.answer.clone(),
            doing: self.doing.clone(),
        }
    }
}

/// Connects to the engine that this choice and the environment name, and asks what it is.
///
/// # Errors
/// When there is no such address, or no engine answers there.
pub async fn connect(choice: &Choice, settings: &Settings) -> Result<Connected, Problem> {
    let connected = begin(choice, settings, None)?;
    let info = connected.answer().await?;
    Ok(connected.corrected(&info))
}

/// The same, but an engine that is remembered at this address is not waited for.
///
/// # Errors
/// When there is no such address, or no engine answers there.
pub async fn connect_to_remembered(choice: &Choice, settings: &Settings) -> Result<Connected, Problem> {
    let connected = begin(choice, settings, settings.cache.as_deref())?;
    if connected.is_remembered {
        return Ok(connected.asked());
    }
    let info = connected.answer().await?;
    Ok(connected.corrected(&info))
}

fn begin(choice: &Choice, settings: &Settings, cache: Option<&Path>) -> Result<Connected, Problem> {
    let address = address::resolve(choice, &settings.environment)?;
    let doing = format!("use the engine at {} ({})", address.host, address.origin);
    let engine = DockerEngine::open(&address).map_err(|error| engine_problem(&doing, &error))?;
    let engine: Arc<dyn Engine> = Arc::new(Bounded::new(engine, Patience::default()));
    let entry = cache.and_then(|cache| entry(cache, &address.host));
    let remembered = entry.as_deref().and_then(recall);
    let is_remembered = remembered.is_some();
    let identity = Identity { local: address.is_local(), ..remembered.clone().unwrap_or(Identity::none()) };
    let asked = Arc::clone(&engine);
    let answer = async move {
        let info = asked.info().await?;
        if let Some(entry) = entry.filter(|_| remembered.is_none_or(|before| !before.is_of(&info))) {
            keep(&entry, &Identity::from(&info));
        }
        Ok(info)
    };
    let (answer, docker_config) = (answer.boxed().shared(), address.config);
    Ok(Connected { engine, docker_config, identity, is_remembered, answer, doing })
}

impl Identity {
    fn none() -> Self {
        Self { id: String::new(), architecture: String::new(), local: false }
    }

    /// Whether this is the engine that says this of itself.
    #[must_use]
    pub fn is_of(&self, info: &EngineInfo) -> bool {
        self.id == info.id && self.architecture == info.architecture
    }
}

fn entry(cache: &Path, host: &str) -> Option<PathBuf> {
    let folder = cache.join("engines");
    private_folder(cache).and_then(|()| private_folder(&folder)).ok()?;
    Some(folder.join(format!("{}.{FORMAT}.json", &sha256_hex(host)[..16])))
}

fn recall(entry: &Path) -> Option<Identity> {
    let text = read_private(entry, ENTRY_BYTES)?;
    serde_json::from_slice(&text).ok().filter(|identity: &Identity| !identity.id.is_empty())
}

/// That it cannot be kept makes the next launch wait, nothing else.
fn keep(entry: &Path, identity: &Identity) {
    let written = serde_json::to_vec(identity).map_err(std::io::Error::other);
    if let Err(error) = written.and_then(|text| write_atomically(entry, &[&text])) {
        tracing::debug!("what the engine is is not kept: {error}");
    }
}
