//! Before a launch: the download of pinned probes that the cache lacks.

use crate::cli::runtime::CommandRuntime;
use crate::engine::kinds::registries;
use crate::event::{Event, Reporter};
use crate::preparation::downloads::missing;
use crate::preparation::permitted::Permitted;
use crate::preparation::settings::Settings;
use crate::probe::artifacts::transfer::Registries;
use crate::report::error::Failure;

/// Downloads what trusted definitions pin and the cache lacks; nothing is done if nothing is missing. What fails becomes a
/// problem of the definitions, so that it is reported with all others.
pub(super) fn download(
    settings: &Settings,
    permitted: &mut Permitted,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let missing = missing(permitted.definitions(), &settings.directories.budget);
    if missing.is_empty() {
        return Ok(());
    }
    let registries = Registries::new(registries(&settings.environment));
    let problems = CommandRuntime::start()?.run(async {
        let mut problems = Vec::new();
        for probe in &missing {
            let (sidecar, reference) = (probe.sidecar(), probe.reference());
            reporter.tell(&Event::Pulling { sidecar, image: &reference });
            match probe.download(&registries).await {
                Ok(()) => reporter.tell(&Event::Pulled { sidecar, image: &reference }),
                Err(problem) => problems.push(problem),
            }
        }
        Ok(problems)
    })?;
    drop(missing);
    permitted.note(problems);
    Ok(())
}
