//! `reset`: removes sidecars with all of their data, and starts them again from their definitions.

use std::sync::Arc;

use super::down::{Removal, Volumes, remove};
use super::up::{refuse_sessions, start};
use crate::cli::options;
use crate::cli::runtime::CommandRuntime;
use crate::event::Reporter;
use crate::manage::removal::Scope;
use crate::preparation;
use crate::preparation::settings::Settings;
use crate::report::error::Failure;
use crate::report::exit;

/// Asks, removes and starts.
pub fn reset(options: &options::Reset, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let mut settings = Settings::new(&options.layers, &options.launch);
    settings.choice.only.clone_from(&options.names);
    // What cannot be started again is not removed.
    let preparation = preparation::prepare(&settings);
    preparation.accept(refuse_sessions(&preparation))?;
    let removal = Removal {
        layers: &options.layers,
        scope: Scope::Named(options.names.clone()),
        older_than: None,
        volumes: Volumes::AllRemoved,
        yes: options.yes,
        force: options.force,
    };
    let is_done = CommandRuntime::start()?.run_alone(remove(&removal, reporter))?;
    if is_done { start(settings, &options.layers, None, reporter) } else { Ok(exit::SUCCESS) }
}
