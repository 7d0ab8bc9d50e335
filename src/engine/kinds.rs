//! The engines that there are, and which of them a command means. This is the only place that knows them all: whoever adds
//! an engine adds a folder beside this file and a line here.

use std::path::PathBuf;
use std::sync::Arc;

use super::docker::{self, Docker, address};
use super::problem::engine_problem;
use super::{Capabilities, Engine};
use crate::report::error::Problem;

pub use super::docker::address::{Choice, Environment};

/// An engine that a command means. Nothing has been asked of it.
pub struct Opened {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where it is, and who said so: `unix:///var/run/docker.sock (the default)`.
    pub place: String,
}

/// A kind of engine.
struct Kind {
    capabilities: Capabilities,
    open: fn(&Choice, &Environment, Option<PathBuf>) -> Result<Opened, Problem>,
}

/// All of them. The first one is meant where nothing names another.
static KINDS: &[Kind] = &[Kind { capabilities: docker::CAPABILITIES, open: open_docker }];

/// The kind that this choice and environment name.
const fn meant(_: &Choice, _: &Environment) -> &'static Kind {
    // A `docker` command and docker's variables are all that can name an engine so far.
    &KINDS[0]
}

/// What the engine can do that this choice and environment name, without asking it.
#[must_use]
pub const fn capabilities(choice: &Choice, environment: &Environment) -> Capabilities {
    meant(choice, environment).capabilities
}

/// The engine that this choice and environment name, keeping below `cache` what cannot change any more.
///
/// # Errors
/// If there is no such engine.
pub fn open(choice: &Choice, environment: &Environment, cache: Option<PathBuf>) -> Result<Opened, Problem> {
    (meant(choice, environment).open)(choice, environment, cache)
}

fn open_docker(
    choice: &Choice,
    environment: &Environment,
    cache: Option<PathBuf>,
) -> Result<Opened, Problem> {
    let address = address::resolve(choice, environment)?;
    let place = format!("{} ({})", address.host, address.origin);
    let engine = Docker::open(&address, cache);
    let engine = engine.map_err(|error| engine_problem(&format!("use the engine at {place}"), &error))?;
    Ok(Opened { engine: Arc::new(engine), place })
}
