//! Options of `engine`.

use clap::{Args, Subcommand};

use super::{Format, LayerOptions};

/// Options of `engine`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier engine list\n  farrier engine prune")]
pub struct Engine {
    /// What to do.
    #[command(subcommand)]
    pub command: EngineCommand,
}

/// The subcommands of `engine`.
#[derive(Debug, Subcommand)]
pub enum EngineCommand {
    /// List the engines, what each can do here, and what it is chosen for.
    List(EngineList),
    /// Remove images of the built-in engine that no sidecar is made of.
    Prune(EnginePrune),
}

/// Options of `engine list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier engine list
  farrier engine list --format json | jq '.engines[] | select(.answers) | .name'")]
pub struct EngineList {
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `engine prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
An image is kept as long as a sidecar is made of it. A launch takes an image that was removed from its file again.

Example:
  farrier engine prune")]
pub struct EnginePrune {
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}
