//! The options of `farrier probe`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::shared::{Format, LayerOptions};
use crate::cli::sidecar_names;
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
    /// Play scenarios for a probe: what a sidecar answers, poll by poll, on a clock that does not wait.
    Test(ProbeTest),
    /// Push a component to a registry, from which definitions can name it (`oci://…`).
    Push(ProbePush),
    /// Download into the cache the probes that the definitions pin, or download one probe into a file.
    Pull(ProbePull),
    /// Pin the probes that definitions name by tags, in `probes.lock` beside the definitions.
    Pin(ProbePin),
    /// Show what changed at the tags that `probes.lock` pins, and pin the new probes.
    Update(ProbeUpdate),
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

/// Options of `probe push`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  farrier probe push ./orders-ready.wasm oci://ghcr.io/acme/orders-ready:1.2"
)]
pub struct ProbePush {
    /// A component file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The registry, the repository and the tag. The credentials are those of the docker client (`docker login`).
    #[arg(value_name = "oci://REGISTRY/REPOSITORY:TAG")]
    pub reference: String,
}

/// Options of `probe pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier probe pull\n  farrier probe pull oci://ghcr.io/acme/ready:1 --out ./ready.wasm"
)]
pub struct ProbePull {
    /// Download this probe into a file [default: into the cache, every probe that a definition pins].
    #[arg(value_name = "oci://REGISTRY/REPOSITORY:TAG")]
    pub reference: Option<String>,
    /// The output file [default: ./REPOSITORY.wasm].
    #[arg(long, short, value_name = "FILE", requires = "reference")]
    pub out: Option<PathBuf>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `probe pin`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier probe pin")]
pub struct ProbePin {
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `probe update`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier probe update --dry-run\n  farrier probe update orders")]
pub struct ProbeUpdate {
    /// The sidecars whose probes are updated [default: all].
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names))]
    pub names: Vec<String>,
    /// Show what changed, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
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
#[command(
    after_help = "Examples:\n  farrier probe build ./orders-ready\n  farrier probe build orders.wasm --settings-schema settings.schema.json --metadata version=1.2.0 --out orders.wasm"
)]
pub struct ProbeBuild {
    /// The folder of a Rust crate, a core module, or a component (`.wasm`).
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// The output file [default: NAME.wasm in the crate; NAME.component.wasm beside a module].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A JSON Schema of the probe's settings, which becomes part of the component. A crate that uses farrier-probe has its
    /// own.
    #[arg(long, value_name = "FILE")]
    pub settings_schema: Option<PathBuf>,
    /// What the component says about itself: `name`, `version`, `description`, `authors`, `licenses`, `source`,
    /// `homepage` or `revision`. A crate says most of it in its Cargo.toml.
    #[arg(long, value_name = "KEY=TEXT")]
    pub metadata: Vec<String>,
}

/// Options of `probe test`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier probe test ./orders-ready.wasm\n  farrier probe test redis scenarios/loading.toml"
)]
pub struct ProbeTest {
    /// A component file (`./name.wasm`), or a probe's name.
    #[arg(value_name = "FILE|NAME")]
    pub probe: OsString,
    /// Scenarios, or folders of them [default: the folder `scenarios` beside the component].
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
}

/// Options of `probe check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  farrier probe check ./orders-ready.wasm --target localhost:8080 --watch\n  farrier probe check --definition .farrier/sidecars/orders.toml --target localhost:8080 --watch\n  farrier probe check ./seen.wasm --target localhost:80 --grant logs=server.log --settings '{\"text\":\"up\"}'\n  farrier probe check redis --target localhost:6379 --record scenarios/ready.toml"
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
    /// `health=starting|healthy|unhealthy|none`, `env=NAME=VALUE`, `exec=["command","argument"]` (fails without
    /// `--run-commands`: there is no container). Only a definition can grant folders.
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// Run granted commands on this host, as your user.
    #[arg(long)]
    pub run_commands: bool,
    /// Poll as a launch does, until the probe reports ready or the timeout expires.
    #[arg(long)]
    pub watch: bool,
    /// Write a scenario for `farrier probe test` into this file: everything that the probe sends and receives, passwords
    /// included. Only you can read the file.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
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
