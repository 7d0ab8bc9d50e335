//! `probe push`: a component into a registry.

use super::registries::{reference, registries};
use crate::cli::data::print;
use crate::cli::options::ProbePush;
use crate::cli::runtime::CommandRuntime;
use crate::probe::capabilities::grant_line;
use crate::probe::catalogue::not_a_probe;
use crate::probe::component::ComponentFile;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// Pushes it, and prints what a definition needs.
pub fn push(options: &ProbePush) -> Result<u8, Failure> {
    let reference = reference(&options.reference)?;
    if reference.digest().is_some() {
        let message = format!("`{reference}` names a digest, which only the pushed documents determine");
        return Err(Problem::error(Code::Usage, message)
            .hint("Name a tag: `oci://REGISTRY/REPOSITORY:TAG`.")
            .into());
    }
    let file = ComponentFile::read(&options.file)
        .map_err(|error| not_a_probe(&options.file.display().to_string(), &error))?;
    let registries = registries();
    let digest =
        CommandRuntime::start()?.run_alone(async { Ok(registries.push(&reference, &file).await?) })?;
    let pinned = reference.at(&digest);
    let grants = grant_line(&file).map(|line| format!("{line}\n")).unwrap_or_default();
    print(&format!(
        "{pinned}\n\nAdd these lines to a definition:\n\n[readiness]\nprobe = \"{pinned}\"\n{grants}"
    ));
    Ok(exit::SUCCESS)
}
