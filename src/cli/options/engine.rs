//! Options of `engine`.

use clap::{Args, Subcommand};

use super::shared::{Format, LayerOptions};

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
    /// List the engines, with what each can do on this machine and which sidecars farrier runs on it.
    List(EngineList),
    /// Pull images for the engine `native`, even if it already has images with these tags.
    Pull(EnginePull),
    /// Remove the images of the engine `native` that no sidecar uses.
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

/// Options of `engine pull`.
#[derive(Debug, Args)]
#[command(after_help = "\
A running sidecar keeps its image until the next launch, which recreates the sidecar if the image has changed.

Examples:
  farrier engine pull redis:7")]
pub struct EnginePull {
    /// The images, as definitions name them.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `engine prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
farrier keeps each image that a sidecar uses. If a launch needs a removed image, farrier pulls it, or reads its file, again.

Examples:
  farrier engine prune
  farrier engine prune --volumes")]
pub struct EnginePrune {
    /// Also remove anonymous volumes that no sidecar uses any more, with their data.
    #[arg(long)]
    pub volumes: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}
