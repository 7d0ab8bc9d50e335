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
    /// The subcommand.
    #[command(subcommand)]
    pub command: ProbeCommand,
}

/// The subcommands of `probe`.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// List every probe that a definition in the current layers can name.
    List(ProbeList),
    /// Show what a component can do and what it needs, without running it.
    Inspect(ProbeInspect),
    /// Create a project for a custom probe.
    New(ProbeNew),
    /// Turn a Rust crate or a core module into a probe component.
    Build(ProbeBuild),
    /// Run a probe against any reachable address, without an engine.
    Check(ProbeCheck),
}

/// Options of `probe list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier probe list --no-workspace")]
pub struct ProbeList {
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}

/// Options of `probe inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier probe inspect tcp\n  farrier probe inspect ./orders-ready.wasm")]
pub struct ProbeInspect {
    /// A component file (`./name.wasm`), or a probe's name.
    #[arg(value_name = "FILE|NAME")]
    pub probe: OsString,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The output format.
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
    /// The name of the probe and its folder, in kebab-case.
    pub name: String,
    /// The programming language.
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
    /// The output file [default: NAME.wasm in the crate; NAME.component.wasm beside a module].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `probe check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier probe check ./orders-ready.wasm --target localhost:8080 --watch\n  farrier probe check --definition .farrier/sidecars/orders.toml --target localhost:8080 --watch\n  farrier probe check ./seen.wasm --target localhost:80 --grant logs=server.log --settings '{\"text\":\"up\"}'"
)]
pub struct ProbeCheck {
    /// A component file (`./name.wasm`), or a probe's name [default: the definition's probe].
    #[arg(value_name = "FILE|NAME", required_unless_present = "definition")]
    pub probe: Option<OsString>,
    /// The address to dial in place of the sidecar's own port.
    #[arg(long, value_name = "HOST:PORT")]
    pub target: String,
    /// Take settings, grants, limits and timeouts from this definition, as a launch does.
    #[arg(long, value_name = "FILE")]
    pub definition: Option<PathBuf>,
    /// The settings, as a JSON object [default: the definition's, or none].
    #[arg(long, value_name = "JSON")]
    pub settings: Option<String>,
    /// What the probe may do besides dialling the target: `dial=self:PORT`, `dial=HOST:PORT`,
    /// `dial=NAME:PORT=HOST:PORT`, `tls` (with this machine's authorities), `tls=FILE` (with those in the file),
    /// `tls=insecure`, `logs=FILE` (its lines serve as the container's log),
    /// `health=starting|healthy|unhealthy|none`, `env=NAME=VALUE`, `exec=["command","argument"]` (fails: there is no
    /// container). Only a definition can grant folders.
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// Poll as a launch does, until the probe reports ready or the timeout expires.
    #[arg(long)]
    pub watch: bool,
    /// The timeout of `--watch` [default: the definition's, or 30s].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// The maximum to which the probe can extend the timeout [default: the definition's, or twice the timeout].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_timeout: Option<Duration>,
    /// The time limit of one poll [default: the definition's, or 2s].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub poll: Option<Duration>,
    /// The probe's memory limit [default: the definition's, or 64MiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}
