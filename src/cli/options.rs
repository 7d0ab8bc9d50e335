//! The command line as clap's types. What commands do is in the files beside this one.

mod engine;
mod managing;
mod parsing;
mod probe;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, PossibleValue};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::sidecar_names;
use crate::engine::kinds::{EngineKind, Selection};
use crate::harness::reachability::wrong_prefix;
use crate::harness::variables::Form;
use crate::readiness::route::Dialling;

pub use engine::{Engine, EngineCommand, EngineList, EnginePrune, EnginePull};
pub use managing::{Completions, Doctor, Down, Explain, Import, Logs, Man, New, NewLayer, Ps, Schema, Shell};
pub use probe::{
    Language, Probe, ProbeBuild, ProbeCheck, ProbeCommand, ProbeInspect, ProbeList, ProbeNew, ProbePin,
    ProbePull, ProbePush, ProbeUpdate,
};

/// Start the sidecars that a command needs, wait until each one is ready, and run the command.
#[derive(Debug, Parser)]
#[command(name = "farrier", version, max_term_width = 100, args_override_self = true, after_help = FIRST_STEPS)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
    /// Output options.
    #[command(flatten)]
    pub output: OutputOptions,
}

const FIRST_STEPS: &str = "\
First steps:
  farrier doctor                      check that farrier works on this machine
  farrier new db --image postgres:16  create the definition of a sidecar
  farrier validate                    check all definitions
  farrier plan                        show what a launch would do
  farrier launch -- docker run IMAGE  start the sidecars, then run the command

`farrier COMMAND --help` describes each command, with an example.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the sidecars, wait until all are ready, and run a command.
    Launch(Launch),
    /// Start the sidecars and wait until all are ready.
    Up(Up),
    /// Print the variables of running sidecars; start nothing.
    Env(Env),
    /// Create a commented definition.
    New(New),
    /// Create definitions from a compose file.
    Import(Import),
    /// Show what a launch would do and why; change nothing.
    Plan(Plan),
    /// Check definitions, probes and settings, without an engine.
    Validate(Validate),
    /// Approve the workspace's definitions, which are not trusted; list and revoke approvals.
    Approve(Approve),
    /// Create, build, inspect and try probes, without an engine.
    Probe(Probe),
    /// List sidecars, with their state and whether they match their definitions.
    Ps(Ps),
    /// Print the output of sidecars.
    Logs(Logs),
    /// Remove sidecars.
    Down(Down),
    /// List the engines that run sidecars; pull and remove images of the engine `native`.
    Engine(Engine),
    /// Remove sidecars with all of their data, and start them again.
    Reset(Reset),
    /// Check that farrier works on this machine, and say how to fix problems.
    Doctor(Doctor),
    /// Explain an error code, or list all codes.
    Explain(Explain),
    /// Print the JSON Schema of definitions, for editors.
    Schema(Schema),
    /// Print a shell's completion script for commands, options and sidecars.
    Completions(Completions),
    /// Write the manual pages to a folder.
    #[command(hide = true)]
    Man(Man),
}

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

impl ValueEnum for Dialling {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Relay, Self::None]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => ("auto", "From this host if it has a route, else through a relay container"),
            Self::Relay => ("relay", "Through a relay container"),
            Self::None => ("none", "Not at all: a running container counts as ready"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Selection {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [Selection; EngineKind::ALL.len() + 1] = {
            let mut variants = [Selection::Auto; EngineKind::ALL.len() + 1];
            let mut index = 0;
            while index < EngineKind::ALL.len() {
                variants[index + 1] = Selection::All(EngineKind::ALL[index]);
                index += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => (
                "auto",
                "Programs and image files on `native`; other images on Docker or Podman, or on `native` if neither is available",
            ),
            Self::All(kind) => (kind.name(), kind.meaning()),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Form {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Sh, Self::Fish, Self::Dotenv, Self::Json, Self::Github]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Sh => ("sh", "For `eval` in a POSIX shell"),
            Self::Fish => ("fish", "For `source` in fish"),
            Self::Dotenv => ("dotenv", "Lines for a `.env` file"),
            Self::Json => ("json", "A JSON object"),
            Self::Github => ("github", "Lines for the file that `GITHUB_ENV` names"),
        };
        Some(PossibleValue::new(name).help(help))
    }
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
    /// The image for the relay container [default: the harness's].
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

/// Options of `approve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  farrier approve db\n  farrier approve db --hash HEX")]
pub struct Approve {
    /// The sidecars to approve [default: all that need approval].
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(sidecar_names))]
    pub names: Vec<String>,
    /// Approve without asking if the definition has this hash.
    #[arg(long, value_name = "HEX", requires = "names")]
    pub hash: Option<String>,
    /// Write the hashes of all of the workspace's sidecars to this file, after asking about those that are not approved.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "hash", "list", "revoke", "from_lock"])]
    pub lock: Option<PathBuf>,
    /// Approve, without asking, the definitions that this file pins; fail if it does not match the workspace exactly. `-`
    /// reads standard input. The file must not be in the workspace.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "hash", "list", "revoke"])]
    pub from_lock: Option<PathBuf>,
    /// List the approvals of every workspace.
    #[arg(long, conflicts_with_all = ["names", "hash"])]
    pub list: bool,
    /// Keep earlier approvals of the sidecar, for definitions that differ between branches.
    #[arg(long, conflicts_with_all = ["list", "revoke"])]
    pub keep_earlier: bool,
    /// Revoke the approvals of a sidecar in this workspace and the other worktrees of its repository.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["names", "hash", "list"])]
    pub revoke: Option<String>,
    /// The output format; `json` never prompts.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "FARRIER_FORMAT")]
    pub format: Format,
    /// Layers.
    #[command(flatten)]
    pub layers: LayerOptions,
    /// Trust.
    #[command(flatten)]
    pub approval: ApprovalOptions,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_set_of_sidecars_has_a_name_that_engines_accept() {
        for (name, is_accepted) in [
            ("ci-7", true),
            ("a.b_C", true),
            ("9", true),
            ("", false),
            ("-a", false),
            (".a", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
            (&"a".repeat(30), true),
            (&"a".repeat(31), false),
        ] {
            let parsed = Cli::try_parse_from(["farrier", "ps", &format!("--instance={name}")]);
            assert_eq!(parsed.is_ok(), is_accepted, "{name}");
        }
    }

    #[test]
    fn the_python_launchers_spellings_are_accepted() {
        let arguments = [
            "farrier",
            "launch",
            "--user-tongs",
            "u",
            "--org-tongs",
            "",
            "--repo-tongs",
            "r",
            "--workspace-tongs",
            "w",
            "--workspace",
            "p",
            "--approvals",
            "a",
            "--providers",
            "s",
            "--harness",
            "claude",
            "--anvil-image",
            "i",
            "--no-prompt",
            "--",
            "docker",
            "run",
            "--rm",
            "x",
            "--",
            "y",
        ];
        let cli = Cli::try_parse_from(arguments).expect("accepted");
        let Command::Launch(launch) = cli.command else { panic!("launch") };
        assert_eq!(launch.layers.user_dir, Some("u".into()));
        assert_eq!(launch.layers.org_dir, Some("".into()));
        assert_eq!(launch.launch.probe_image.as_deref(), Some("i"));
        assert_eq!(launch.command, ["docker", "run", "--rm", "x", "--", "y"]);
    }
}
