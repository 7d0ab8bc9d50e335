//! The command line of what is not about launching: sidecars that are there, this machine, error codes, shells.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::shared::{Format, LayerOptions};
use crate::cli::sidecar_names;
use crate::definition::{BUILT_IN, Layer};

/// Options of `new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier new db --image postgres:16
  farrier new api --image example/api:1 --port 8080 --probe http --layer user")]
pub struct New {
    /// The sidecar's name, by which the harness reaches it.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The image; farrier fills in the port and the probe for many known images.
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// The port on which the server listens in its container.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The probe that decides readiness.
    #[arg(long, value_name = "PROBE", value_parser = PossibleValuesParser::new(BUILT_IN))]
    pub probe: Option<String>,
    /// The definition's layer [default: the workspace's; outside a checkout, the user's].
    #[arg(long, value_enum, value_name = "LAYER")]
    pub layer: Option<NewLayer>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
For every key, farrier reports whether it was translated, was not needed, or
could not be translated; in the last case, the report also says what to do.

Examples:
  farrier import compose.yaml --dry-run
  farrier import compose.yaml db cache")]
pub struct Import {
    /// The compose file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The services to import [default: all].
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Print the definitions; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace existing definitions.
    #[arg(long)]
    pub force: bool,
    /// The layer of the definitions [default: the workspace's; outside a checkout, the user's].
    #[arg(long, value_enum, value_name = "LAYER")]
    pub layer: Option<NewLayer>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// The layer of a new definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewLayer {
    /// The user's layer.
    User,
    /// The organisation's layer; needs `--org-dir`.
    Org,
    /// The launcher repository's layer; needs `--repo-dir`.
    Repo,
    /// The workspace's layer.
    Workspace,
}

impl NewLayer {
    /// The layer that definitions of it count for.
    #[must_use]
    pub const fn of_definitions(self) -> Layer {
        match self {
            Self::User => Layer::User,
            Self::Org => Layer::Org,
            Self::Repo => Layer::Repo,
            Self::Workspace => Layer::Workspace,
        }
    }
}

/// Options of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier schema > farrier.schema.json\n  farrier schema --events")]
pub struct Schema {
    /// Print the schema of the lines that `--events` writes.
    #[arg(long)]
    pub events: bool,
}

/// Options of `ps`.
#[derive(Debug, Args)]
#[command(after_help = "\
MATCH compares each sidecar with its definition in the current layers:
  fresh             the container matches its definition
  stale             the next launch recreates the container; the reason follows
  orphan            the definition's file no longer exists
  session           the sidecar belongs to the launch in the column USED BY
  not declared      the current layers do not declare the sidecar; others may
  another instance  `farrier ps --instance NAME` compares the sidecar

Examples:
  farrier ps
  farrier ps --format json | jq -r '.sidecars[].container'
  farrier ps --all")]
pub struct Ps {
    /// Also list the sidecars of definitions in other folders.
    #[arg(long)]
    pub all: bool,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
The container's standard output goes to standard output, and its standard error
to standard error. On a terminal, farrier escapes control characters.

Examples:
  farrier logs db
  farrier logs -f --tail 20 db
  farrier logs --since 10m --timestamps db cache")]
pub struct Logs {
    /// The names of sidecars, or of their containers [default: all declared sidecars].
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names))]
    pub names: Vec<String>,
    /// Follow the output until the container exits.
    #[arg(short, long)]
    pub follow: bool,
    /// Start with at most this many of the newest lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Show only output newer than this (30s, 10m, 2h), including that of earlier runs.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration, conflicts_with = "all_runs")]
    pub since: Option<Duration>,
    /// Include the output of earlier runs.
    #[arg(long)]
    pub all_runs: bool,
    /// Begin each line with the time at which it was written.
    #[arg(short, long)]
    pub timestamps: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `down`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without NAME, --all or --orphans, farrier removes the sidecars that the current
layers declare. farrier keeps volumes and their data unless you give
--volumes. With --volumes, farrier names each volume before it asks for
confirmation.

Examples:
  farrier down db
  farrier down --orphans --yes
  farrier down --all --older-than 7d")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct Down {
    /// The names of sidecars, or of their containers.
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names), conflicts_with_all = ["all", "orphans"])]
    pub names: Vec<String>,
    /// Remove every sidecar on this engine, including those of other users and workspaces.
    #[arg(long, conflicts_with = "orphans")]
    pub all: bool,
    /// Remove the sidecars whose definition file no longer exists.
    #[arg(long)]
    pub orphans: bool,
    /// Remove only sidecars that have been running, or stopped, for longer than this (30m, 12h, 7d).
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub older_than: Option<Duration>,
    /// Also remove volumes, with their data.
    #[arg(long)]
    pub volumes: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub yes: bool,
    /// Also remove sidecars that a launch is using.
    #[arg(long)]
    pub force: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 if all is well, and 1 if something needs repair.

Examples:
  farrier doctor
  farrier doctor --format json | jq '.checks[] | select(.status != \"ok\")'")]
pub struct Doctor {
    /// The file that stores approvals [default: farrier/approvals.json in `$XDG_STATE_HOME` or ~/.local/state].
    #[arg(long, value_name = "FILE", env = "FARRIER_APPROVALS", allow_hyphen_values = true)]
    pub approvals: Option<OsString>,
    /// The output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
An error's code is in brackets: error[alias-taken].

Examples:
  farrier explain alias-taken
  farrier explain")]
pub struct Explain {
    /// The code; without one, farrier lists all codes.
    #[arg(value_name = "CODE", add = ArgValueCandidates::new(crate::cli::code_names), conflicts_with = "markdown")]
    pub code: Option<String>,
    /// Print docs/errors.md.
    #[arg(long, hide = true)]
    pub markdown: bool,
}

/// A supported shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    #[doc = "PowerShell."]
    Powershell,
    /// Zsh.
    Zsh,
}

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Have the shell run the script at start-up, so that completions match the
installed farrier. Examples, each a line for the shell's start-up file:
  bash        source <(farrier completions bash)
  zsh         source <(farrier completions zsh)
  fish        farrier completions fish | source
  elvish      eval (farrier completions elvish | slurp)
  powershell  farrier completions powershell | Out-String | Invoke-Expression")]
pub struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  farrier man ~/.local/share/man/man1")]
pub struct Man {
    /// An existing folder.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
