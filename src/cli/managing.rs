//! Helpers of the commands for existing sidecars.

use std::sync::Arc;

use crate::cli::options::{LaunchOptions, LayerOptions};
use crate::definition;
use crate::engine::kinds::Choice;
use crate::engine::problem::engine_problem;
use crate::engine::{Engine, EngineInfo};
use crate::event::{Event, Reporter};
use crate::launch::connection;
use crate::manage::managed::{Inventory, inventory};
use crate::plan::sidecar::Sidecar;
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Failure, Problem};
use crate::system::leases::Leases;
use crate::system::lock::LockFolder;

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

impl EngineSession {
    /// Reads the layers and connects. Definitions that are wrong hinder nothing; that there are some is said.
    pub(super) async fn open(layers: &LayerOptions, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::new(layers, &LaunchOptions::default());
        let loaded = definition::load(&settings.directories);
        if loaded.problems.iter().any(Problem::is_error) {
            let message = "some definitions are invalid; their sidecars count as not declared";
            let problem = Problem::warning(Code::LayerUnusable, message)
                .hint("Run `farrier validate` to see the errors.");
            reporter.tell(&Event::Problem(&problem));
        }
        let declared = loaded
            .definitions
            .into_iter()
            .map(|definition| Arc::new(Sidecar::new(definition, &settings.scopes)));
        let declared = declared.collect();
        let connection = connection::open(&Choice::default(), &settings)?;
        let info = connection.info().await?;
        let locks = LockFolder::open(&info.id)?.held_by(REMOVER);
        let leases = Leases::open(REMOVER)?;
        Ok(Self { engine: connection.engine, locks, leases, info, declared })
    }

    /// The sidecars that exist now.
    pub(super) async fn inventory(&self) -> Result<Inventory, Failure> {
        let found = inventory(self.engine.as_ref(), &self.info, &self.declared, &self.leases).await;
        found.map_err(|error| engine_problem("list the sidecars", &error).into())
    }
}
