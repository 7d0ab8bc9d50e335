//! Helpers of the commands for existing sidecars.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::options::{LaunchOptions, LayerOptions};
use crate::definition;
use crate::definition::model::Lifecycle;
use crate::engine::kinds::{Choice, EngineKind, Selection};
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineInfo};
use crate::event::{Event, Reporter};
use crate::launch::connection;
use crate::manage::managed::{Inventory, Managed, ManagedVolume, inventory, volumes};
use crate::manage::sessions::sweep;
use crate::plan::sidecar::Sidecar;
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Failure, Problem};
use crate::system::leases::Leases;
use crate::system::lock::LockFolder;
use crate::system::session_leases::SessionLeases;

/// The lock holder's name that waiting launches show for these commands.
const REMOVER: &str = "farrier down";

/// An engine, and what is declared for it.
pub(super) struct EngineSession {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) locks: LockFolder,
    pub(super) leases: Leases,
    info: EngineInfo,
    declared: Vec<Arc<Sidecar>>,
}

/// The engines that sidecars may live on.
pub(super) struct EngineSessions(Vec<EngineSession>);

impl EngineSessions {
    /// Reads the layers and connects. Definitions that are wrong hinder nothing; that there are some is said. Nor does it
    /// hinder anything if an engine does not answer on which nothing is declared, while something is on another.
    pub(super) async fn open(layers: &LayerOptions, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::new(layers, &LaunchOptions::default());
        let loaded = definition::load(&settings.directories);
        if loaded.problems.iter().any(Problem::is_error) {
            let message = "some definitions are invalid; their sidecars count as not declared";
            let problem = Problem::warning(Code::LayerUnusable, message)
                .hint("Run `farrier validate` to see the errors.");
            reporter.tell(&Event::Problem(&problem));
        }
        let mut declared: BTreeMap<EngineKind, Vec<Arc<Sidecar>>> = BTreeMap::new();
        // Those of sessions are declared for launches to come, never for what is there.
        let shared = loaded.definitions.into_iter().filter(|one| one.lifecycle == Lifecycle::Shared);
        for definition in shared {
            let kind = settings.engine.of(&definition);
            let sidecar = Arc::new(Sidecar::new(definition, &settings.scopes));
            declared.entry(kind).or_default().push(sidecar);
        }
        let mut sessions = Vec::new();
        let is_asked = |kind: &EngineKind| match settings.engine.asked() {
            Selection::All(asked) => *kind == asked,
            Selection::Auto => declared.contains_key(kind) || kind.may_be_in_use(&settings.folders()),
        };
        for kind in EngineKind::ALL.into_iter().filter(is_asked) {
            let own = declared.get(&kind).cloned().unwrap_or_default();
            let is_alone = || EngineKind::ALL.iter().all(|other| *other == kind || !is_asked(other));
            let is_expected = || kind == settings.engine.of_images();
            let is_needed = !own.is_empty() || (declared.is_empty() && is_alone() && is_expected());
            match EngineSession::open(kind, own, &settings).await {
                Err(problem) if !is_needed && is_absent(&problem) => {}
                session => sessions.push(session?),
            }
        }
        Ok(Self(sessions))
    }

    /// Removes what launches that were killed left of their sessions. What goes wrong is left to the next command.
    pub(super) async fn sweep(&self) -> Result<(), Failure> {
        let session_leases = SessionLeases::open(REMOVER)?;
        let mut is_swept = true;
        for EngineSession { engine, leases, info, .. } in &self.0 {
            if let Err(error) = sweep(engine.as_ref(), info.local, &session_leases, leases).await {
                tracing::debug!("what was left of sessions cannot be removed: {error}");
                is_swept = false;
            }
        }
        if is_swept {
            session_leases.sweep();
        }
        Ok(())
    }

    /// The sidecars that exist now, on all engines.
    pub(super) async fn inventory(&self) -> Result<Inventory, Failure> {
        let mut all = Inventory {
            sidecars: Vec::new(),
            absent: Vec::new(),
            volumes: Vec::new(),
            now: Timestamp::now(),
        };
        for session in &self.0 {
            let found = session.inventory().await?;
            all.sidecars.extend(found.sidecars);
            all.absent.extend(found.absent);
            all.now = all.now.max(found.now);
        }
        all.sidecars.sort_by_key(|managed| (managed.name.clone(), managed.container.name.clone()));
        all.absent.sort_unstable();
        Ok(all)
    }

    /// The volumes that definitions name, on all engines.
    pub(super) async fn volumes(&self) -> Result<Vec<ManagedVolume>, Failure> {
        let mut all = Vec::new();
        for session in &self.0 {
            let found = volumes(session.engine.as_ref(), &session.info, &session.declared).await;
            all.extend(found.map_err(|error| Failure::from(engine_problem("list the volumes", &error)))?);
        }
        Ok(all)
    }

    /// Each engine, with those of these sidecars that live on it.
    pub(super) fn split(self, all: &[Managed]) -> impl Iterator<Item = (EngineSession, Vec<Managed>)> {
        self.0.into_iter().map(|session| {
            let is_its = |managed: &&Managed| managed.engine == session.engine.capabilities().kind;
            let own = all.iter().filter(is_its).cloned().collect();
            (session, own)
        })
    }

    /// The engine on which a sidecar lives.
    pub(super) fn of(&self, managed: &Managed) -> Option<&EngineSession> {
        self.0.iter().find(|session| session.engine.capabilities().kind == managed.engine)
    }
}

/// Whether a problem says that there is no such engine here, or not for this user.
fn is_absent(problem: &Problem) -> bool {
    matches!(problem.code, Code::EngineUnreachable | Code::EnginePermission | Code::EngineContext)
}

impl EngineSession {
    async fn open(
        kind: EngineKind,
        declared: Vec<Arc<Sidecar>>,
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let connection = connection::open(kind, &Choice::default(), settings)?;
        let info = connection.info().await?;
        let locks = LockFolder::open(&info.id)?.held_by(REMOVER);
        let leases = Leases::open(REMOVER)?;
        Ok(Self { engine: connection.engine, locks, leases, info, declared })
    }

    /// The sidecars that exist now.
    async fn inventory(&self) -> Result<Inventory, Failure> {
        let found = inventory(self.engine.as_ref(), &self.info, &self.declared, &self.leases).await;
        found.map_err(|error| engine_problem("list the sidecars", &error).into())
    }
}
