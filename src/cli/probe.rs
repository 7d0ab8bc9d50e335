//! The options of `farrier probe`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, LayerOptions};
use crate::definition::{parse_duration, parse_size};

/// Options of `probe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier probe list\n  farrier probe new orders-ready")]
pub struct Probe {
    /// What to do.
    #[command(subcommand)]
    pub command: ProbeCommand,
}

/// What to do with probes.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// List every probe that a definition here could name.
    List(ProbeList),
    /// Show what a component can do and what it needs, without running it.
    Inspect(ProbeInspect),
    /// Make a project for a probe of your own.
    New(ProbeNew),
    /// Turn a Rust crate or a core module into a probe component.
    Build(ProbeBuild),
    /// Run a probe against anything reachable; no engine is needed.
    Check(ProbeCheck),
}

/// Options of `probe list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier probe list --no-workspace")]
pub struct ProbeList {
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The form of the list.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}

/// Options of `probe inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier probe inspect tcp\n  farrier probe inspect ./orders-ready.wasm")]
pub struct ProbeInspect {
    /// A component file (`./name.wasm`), or the name of a probe.
    #[arg(value_name = "FILE|NAME")]
    pub probe: OsString,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The form of the description.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}

/// The language of a new probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// With the crate farrier-probe.
    #[default]
    Rust,
    /// With componentize-py.
    Python,
}

/// Options of `probe new`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier probe new orders-ready")]
pub struct ProbeNew {
    /// The probe's name, in kebab-case; the folder gets it too.
    pub name: String,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    pub lang: Language,
}

/// Options of `probe build`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier probe build ./orders-ready")]
pub struct ProbeBuild {
    /// The folder of a Rust crate, or a core module (`.wasm`).
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Where the component goes [default: NAME.wasm in the crate; NAME.component.wasm beside a module].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `probe check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier probe check ./orders-ready.wasm --target localhost:8080 --watch\n  farrier probe check ./seen.wasm --target localhost:80 --grant logs=server.log --settings '{\"text\":\"up\"}'"
)]
pub struct ProbeCheck {
    /// A component file (`./name.wasm`), or the name of a probe.
    #[arg(value_name = "FILE|NAME")]
    pub probe: OsString,
    /// Stands for the sidecar: what the probe may dial as its own, unless `--grant dial=…` says otherwise.
    #[arg(long, value_name = "HOST:PORT")]
    pub target: String,
    /// The settings, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub settings: String,
    /// What the probe may do: `dial=self`, `dial=self:PORT`, `dial=HOST:PORT`, `dial=NAME:PORT=HOST:PORT`,
    /// `logs=FILE` (its lines are the container's log), `health=starting|healthy|unhealthy|none`,
    /// `env=NAME=VALUE`, `exec=["command","argument"]` (answered: no container).
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// Poll as a launch does, until it is ready or the time is over.
    #[arg(long)]
    pub watch: bool,
    /// How long `--watch` goes on.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// How long one poll may take.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub poll: Duration,
    /// How much memory the probe may use.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub memory: u64,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}
