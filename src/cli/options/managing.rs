//! The command line of what is not about launching: sidecars that are there, this machine, error codes, shells.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::{Format, LayerOptions};
use crate::cli::sidecar_names;
use crate::definition::BUILT_IN;

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
    /// Its image; what is known about it (port, probe) is filled in.
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// The port where it listens in its container.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// What proves that it is ready.
    #[arg(long, value_name = "PROBE", value_parser = PossibleValuesParser::new(BUILT_IN))]
    pub probe: Option<String>,
    /// Whose definition it is [default: the workspace's, and the user's outside of a checkout].
    #[arg(long, value_enum, value_name = "LAYER")]
    pub layer: Option<NewLayer>,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Where a new definition goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewLayer {
    /// The user's definitions.
    User,
    /// The organisation's; needs `--org-dir`.
    Org,
    /// The launcher repository's; needs `--repo-dir`.
    Repo,
    /// The workspace's.
    Workspace,
}

/// Options of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier schema > farrier.schema.json\n  farrier schema --events")]
pub struct Schema {
    /// The schema of the lines that `--events` writes, instead.
    #[arg(long)]
    pub events: bool,
}

/// Options of `ps`.
#[derive(Debug, Args)]
#[command(after_help = "\
MATCH compares each sidecar with its definition in the current layers:
  fresh         it is what the definition says
  stale         the next launch makes it anew, for the reason given
  orphan        the file that it was made from is gone
  not declared  the current layers do not declare it; others may

Examples:
  farrier ps
  farrier ps --format json | jq -r '.sidecars[].container'")]
pub struct Ps {
    /// The form of the list.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the container wrote to standard output goes to standard output, and its
standard error to standard error. On a terminal, control characters are escaped.

Examples:
  farrier logs db
  farrier logs -f --tail 20 db")]
pub struct Logs {
    /// The sidecar, or its container.
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names))]
    pub name: String,
    /// Go on until the container ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the newest lines, no more than so many.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Print the runs before the current one too.
    #[arg(long)]
    pub all_runs: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `down`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without a name, --all or --orphans: the sidecars that the current layers declare.
Named volumes are always kept, and anonymous ones unless --volumes is given.

Examples:
  farrier down db
  farrier down --orphans --yes
  farrier down --all --older-than 7d")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct Down {
    /// The sidecars, or their containers.
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names), conflicts_with_all = ["all", "orphans"])]
    pub names: Vec<String>,
    /// Every sidecar on this engine, also of other users and workspaces.
    #[arg(long, conflicts_with = "orphans")]
    pub all: bool,
    /// Those whose definition file is gone.
    #[arg(long)]
    pub orphans: bool,
    /// Only those that have been running, or stopped, for longer than this (30m, 12h, 7d).
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub older_than: Option<Duration>,
    /// Remove anonymous volumes too, with the data in them.
    #[arg(long)]
    pub volumes: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Remove also what a launch uses.
    #[arg(long)]
    pub force: bool,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 where all is well, and 1 where something needs repair.

Examples:
  farrier doctor
  farrier doctor --format json | jq '.checks[] | select(.status != \"ok\")'")]
pub struct Doctor {
    /// Where approvals of workspace definitions are kept.
    #[arg(long, value_name = "FILE", env = "FARRIER_APPROVALS", allow_hyphen_values = true)]
    pub approvals: Option<OsString>,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
}

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
The code of an error stands in brackets: error[alias-taken].

Examples:
  farrier explain alias-taken
  farrier explain")]
pub struct Explain {
    /// The code; all are listed without one.
    #[arg(value_name = "CODE", add = ArgValueCandidates::new(crate::cli::code_names), conflicts_with = "markdown")]
    pub code: Option<String>,
    /// Print the page of the documentation with all of them.
    #[arg(long, hide = true)]
    pub markdown: bool,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// `PowerShell`.
    Powershell,
    /// Zsh.
    Zsh,
}

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Let the shell read the script at each start, so that it fits the installed
farrier. Examples, each a line for the file that the shell reads then:
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
    /// The folder, which must exist.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
