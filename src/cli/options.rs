//! The command line as clap's types. What commands do is in the files beside this one.

mod engine;
mod launching;
mod managing;
mod parsing;
mod probe;
mod shared;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::ArgValueCandidates;

use super::sidecar_names;

pub use engine::{Engine, EngineCommand, EngineList, EnginePrune, EnginePull};
pub use launching::{Env, Launch, Plan, Reset, Up, Validate};
pub use managing::{Completions, Doctor, Down, Explain, Import, Logs, Man, New, NewLayer, Ps, Schema, Shell};
pub use probe::{
    Language, Probe, ProbeBuild, ProbeCheck, ProbeCommand, ProbeInspect, ProbeList, ProbeNew, ProbePin,
    ProbePull, ProbePush, ProbeTest, ProbeUpdate,
};
pub use shared::{ApprovalOptions, Color, Format, LaunchOptions, LayerOptions, OutputOptions};

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
    /// With `--hash`: approve all but this grant of the sidecar's probes, for example `logs` or `dial=cache:6379`; repeatable.
    #[arg(long, value_name = "GRANT", requires = "hash")]
    pub deny: Vec<String>,
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
