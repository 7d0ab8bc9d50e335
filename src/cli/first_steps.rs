//! `farrier` alone, where nothing is declared yet: the commands that come next.

use clap::Parser;

use super::options::{Cli, Command};
use super::settings::layer_directories;
use crate::definition;

const STEPS: &str = "\
No sidecars are declared here yet. Next steps:
  farrier new db --image postgres:16  declare one: writes a commented definition
  farrier plan                        show what a launch would do
  farrier launch -- COMMAND           start the sidecars, wait until all are ready, run COMMAND

`farrier --help` lists all commands.
";

/// The next commands, if these arguments are the program's name alone and no layer declares a sidecar.
pub(super) fn for_arguments(arguments: &[std::ffi::OsString]) -> Option<&'static str> {
    let [program] = arguments else { return None };
    // The layers as `farrier plan` reads them, with what the environment says about them.
    let plan = Cli::try_parse_from([program.clone(), "plan".into()]).ok()?;
    let Command::Plan(plan) = plan.command else { return None };
    let loaded = definition::load(&layer_directories(&plan.layers));
    (loaded.definitions.is_empty() && loaded.problems.is_empty()).then_some(STEPS)
}
