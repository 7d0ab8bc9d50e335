//! What a launch has told other machines that it uses, from before it looks at anything until its harness ended.

use tokio::sync::Mutex;

use super::placement::Placement;
use super::running::RunningOn;
use crate::engine::{Intent, Use};
use crate::plan::instance::Instance;
use crate::report::error::Problem;

/// The marks on the engines of a launch, in the order of its placements. They outlive whatever a signal ends.
#[derive(Default)]
pub struct Uses(Mutex<Vec<Option<Box<dyn Use>>>>);

impl Uses {
    /// Tells that the sidecars of these placements are used.
    ///
    /// # Errors
    /// If an engine does not take the mark.
    pub(super) async fn begin(&self, placements: &[Placement<'_>], command: &str) -> Result<(), Problem> {
        let mut all = self.0.lock().await;
        for placement in placements {
            let (connection, sidecars) = (&placement.connection, placement.wanted());
            let intent = Intent::Use(&sidecars, &placement.network);
            let used = connection.engine.begin_use(intent, command).await;
            all.push(used.map_err(|error| connection.problem("mark the sidecars as used", &error))?);
        }
        Ok(())
    }

    /// Tells that, of what was ready on these engines, only what keeps running is used from now on.
    ///
    /// # Errors
    /// What an engine answers, with its place among them.
    pub(super) async fn keep_services(&self, engines: &[RunningOn]) -> crate::engine::EngineResult<()> {
        for (used, on) in self.0.lock().await.iter().zip(engines) {
            let services: Vec<(String, Instance)> = on.services().collect();
            let instances: Vec<&Instance> = services.iter().map(|(_, instance)| instance).collect();
            if let Some(used) = used {
                used.keep(&instances).await?;
            }
        }
        Ok(())
    }

    /// Takes all marks away.
    pub async fn end(&self) {
        let all = std::mem::take(&mut *self.0.lock().await);
        for used in all.into_iter().flatten() {
            used.end().await;
        }
    }
}
