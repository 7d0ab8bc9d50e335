//! Groups of options that several commands share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};
use clap_complete::ArgValueCandidates;

use crate::cli::sidecar_names;
use crate::engine::kinds::Selection;
use crate::harness::reachability::wrong_prefix;
use crate::readiness::route::Dialling;

/// Options for farrier's own output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Show the probes' answers (-v), and a trace of probes and farrier (-vv).
    #[arg(short, long, action = ArgAction::Count, global = true, env = "FARRIER_VERBOSE")]
    pub verbose: u8,
    /// Show only errors and the most important warnings; overrides -v.
    #[arg(short, long, global = true, env = "FARRIER_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// When to use colour.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN", env = "FARRIER_COLOR")]
    pub color: Color,
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For scripts.
    Json,
}

/// The layers of definitions; a later layer's definition replaces an earlier layer's definition of the same name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Definitions")]
pub struct LayerOptions {
    /// The folder of the user's definitions [default: farrier/sidecars in `$XDG_CONFIG_HOME` or ~/.config].
    #[arg(
        long,
        alias = "user-tongs",
        value_name = "DIR",
        env = "FARRIER_USER_DIR",
        allow_hyphen_values = true
    )]
    pub user_dir: Option<OsString>,
    /// The folder of the organisation's definitions.
    #[arg(
        long,
        alias = "org-tongs",
        value_name = "DIR",
        env = "FARRIER_ORG_DIR",
        allow_hyphen_values = true
    )]
    pub org_dir: Option<OsString>,
    /// The folder of the launcher repository's definitions.
    #[arg(
        long,
        alias = "repo-tongs",
        value_name = "DIR",
        env = "FARRIER_REPO_DIR",
        allow_hyphen_values = true
    )]
    pub repo_dir: Option<OsString>,
    /// The folder of the workspace's definitions, which are not trusted [default: .farrier/sidecars in the workspace].
    #[arg(
        long,
        alias = "workspace-tongs",
        value_name = "DIR",
        env = "FARRIER_WORKSPACE_DIR",
        allow_hyphen_values = true
    )]
    pub workspace_dir: Option<OsString>,
    /// The checkout that you work on [default: the nearest parent folder with a .git].
    #[arg(long, value_name = "PATH", env = "FARRIER_WORKSPACE", allow_hyphen_values = true)]
    pub workspace: Option<OsString>,
    /// Ignore the workspace's definitions; treat no folder as the workspace.
    #[arg(long, env = "FARRIER_NO_WORKSPACE", value_parser = FalseyValueParser::new())]
    pub no_workspace: bool,
    /// Use a separate set of sidecars, with its own containers, networks and volumes.
    #[arg(long, value_name = "NAME", value_parser = instance)]
    pub instance: Option<String>,
    /// Where the sidecars run.
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "ENGINE",
        env = "FARRIER_ENGINE",
        help_heading = "Engine"
    )]
    pub engine: Selection,
}

/// Options for the approval of workspace definitions.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Trust")]
pub struct ApprovalOptions {
    /// Never prompt; fail if an answer is required.
    #[arg(long, env = "FARRIER_NO_PROMPT", value_parser = FalseyValueParser::new())]
    pub no_prompt: bool,
    /// The file that stores approvals [default: farrier/approvals.json in `$XDG_STATE_HOME` or ~/.local/state].
    #[arg(long, value_name = "FILE", env = "FARRIER_APPROVALS", allow_hyphen_values = true)]
    pub approvals: Option<OsString>,
}

/// Options for starting sidecars and waiting for them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Launching")]
pub struct LaunchOptions {
    /// Use only these sidecars and those in their `after`.
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        env = "FARRIER_ONLY",
        add = ArgValueCandidates::new(sidecar_names)
    )]
    pub only: Vec<String>,
    /// Also use the sidecars of these profiles.
    #[arg(long, value_name = "PROFILE,…", value_delimiter = ',', env = "FARRIER_PROFILE")]
    pub profile: Vec<String>,
    /// When starting the sidecars, recreate all of them, even unchanged ones.
    #[arg(long, env = "FARRIER_RECREATE", value_parser = FalseyValueParser::new())]
    pub recreate: bool,
    /// The prefix of the harness's variables [default: `SWARMFORGE_TONG_`].
    #[arg(long, value_name = "PREFIX", env = "FARRIER_ENV_PREFIX", value_parser = env_prefix)]
    pub env_prefix: Option<String>,
    /// An image whose python3, nc or bash relays connections [default: farrier's own relay].
    #[arg(
        long,
        alias = "anvil-image",
        value_name = "IMAGE",
        env = "FARRIER_PROBE_IMAGE",
        allow_hyphen_values = true
    )]
    pub probe_image: Option<String>,
    /// How probes reach a sidecar's port.
    #[arg(long, value_enum, default_value_t, value_name = "HOW", env = "FARRIER_DIAL")]
    pub dial: Dialling,
    /// Append every event to this file as a JSON line; `-` is standard error.
    #[arg(long, value_name = "FILE", env = "FARRIER_EVENTS", allow_hyphen_values = true)]
    pub events: Option<PathBuf>,
    /// Show how long each step took, compared with earlier launches.
    #[arg(long, env = "FARRIER_TIMINGS", value_parser = FalseyValueParser::new())]
    pub timings: bool,
    /// Write the timings as an HTML page, with every answer of the probes, even if a sidecar does not become ready.
    #[arg(long, value_name = "FILE", env = "FARRIER_TIMINGS_REPORT")]
    pub timings_report: Option<PathBuf>,
    /// Write the timings as trace events, for Perfetto and `chrome://tracing`.
    #[arg(long, value_name = "FILE", env = "FARRIER_TRACE")]
    pub trace: Option<PathBuf>,
    /// Accepted for compatibility with the Python launcher, where it named the form of the MCP configuration.
    #[arg(long, value_name = "NAME", hide = true, allow_hyphen_values = true, env = "FARRIER_HARNESS")]
    pub harness: Option<String>,
    /// Accepted for compatibility with the Python launcher, where it named the file of secret providers.
    #[arg(long, value_name = "FILE", hide = true, allow_hyphen_values = true, env = "FARRIER_PROVIDERS")]
    pub providers: Option<OsString>,
    /// Trust; last, because its heading would also apply to the options after it.
    #[command(flatten)]
    pub approval: ApprovalOptions,
}

/// The longest name of a set of sidecars: a network is named after it.
const LONGEST_INSTANCE: usize = 30;

fn instance(text: &str) -> Result<String, &'static str> {
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if begins && is_name && text.len() <= LONGEST_INSTANCE {
        Ok(text.to_owned())
    } else {
        Err("a name has at most 30 letters, digits, `_`, `.` and `-`, and begins with a letter or digit")
    }
}

fn env_prefix(text: &str) -> Result<String, &'static str> {
    wrong_prefix(text).map_or_else(|| Ok(text.to_owned()), Err)
}
