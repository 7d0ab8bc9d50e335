//! Commands that start sidecars, or show what starting them would do.

use std::ffi::OsString;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::shared::{Format, LaunchOptions, LayerOptions};
use crate::cli::sidecar_names;
use crate::harness::variables::Form;

/// Options of `launch`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier launch -- docker run --rm -it my-harness")]
pub struct Launch {
    /// The harness: `docker run …`, `podman run …`, or any command on this host.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Launching.
    #[command(flatten)]
    pub launch: LaunchOptions,
}

/// Options of `up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier up -v\n  eval \"$(farrier up --print sh)\"")]
pub struct Up {
    /// The sidecars to start [default: all].
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names), conflicts_with = "only")]
    pub names: Vec<String>,
    /// Print the variables that a harness on this host would get.
    #[arg(long, value_enum, value_name = "FORM")]
    pub print: Option<Form>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Launching.
    #[command(flatten)]
    pub launch: LaunchOptions,
}

/// Options of `env`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  eval \"$(farrier env)\"\n  farrier env db --print dotenv > .env")]
pub struct Env {
    /// The sidecars [default: all].
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names))]
    pub names: Vec<String>,
    /// The form of the variables.
    #[arg(long, value_enum, default_value = "sh", value_name = "FORM")]
    pub print: Form,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The profiles and the prefix of a launch.
    #[command(flatten)]
    pub launch: LaunchOptions,
}

/// Options of `reset`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier reset db")]
pub struct Reset {
    /// The sidecars to reset.
    #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(sidecar_names))]
    pub names: Vec<String>,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub yes: bool,
    /// Also reset sidecars that a launch is using.
    #[arg(long)]
    pub force: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Launching.
    #[command(flatten)]
    pub launch: LaunchOptions,
}

/// Options of `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier plan\n  farrier plan --format json -- docker run --rm my-harness"
)]
pub struct Plan {
    /// The harness, which determines the engine and the network.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Launching.
    #[command(flatten)]
    pub launch: LaunchOptions,
}

/// Options of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier validate --user-dir ./sidecars")]
pub struct Validate {
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Launch options: accepted, so that the same options can be given to each command, but without effect.
    #[command(flatten)]
    pub launch: LaunchOptions,
}
