//! Parsing: `launch` alone, and every other command among all of them.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use super::{Cli, Command, Launch, OutputOptions};

/// `farrier launch` alone: to make up what all commands take costs more than everything else about a launch's arguments.
#[derive(Debug, Parser)]
#[command(name = "farrier", args_override_self = true)]
struct LaunchAlone {
    #[command(subcommand)]
    command: OnlyLaunch,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Subcommand)]
enum OnlyLaunch {
    Launch(Launch),
}

impl Cli {
    /// Parses a command line, the program's name included.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it asks for.
    pub fn of(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let launches = arguments.get(1).is_some_and(|command| command == "launch");
        // What is not accepted is parsed as any other command, which then says why.
        if launches && let Ok(found) = LaunchAlone::try_parse_from(arguments) {
            let OnlyLaunch::Launch(launch) = found.command;
            return Ok(Self { command: Command::Launch(launch), output: found.output });
        }
        Self::try_parse_from(arguments)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_a_launch_alone_is_sound() {
        LaunchAlone::command().debug_assert();
    }

    #[test]
    fn a_launch_is_parsed_alone_as_among_all_commands() {
        for line in [
            "launch -- true",
            "launch -vv --user-dir a --only db,cache --timeout 5s -- docker run --rm image -v x",
            "launch --quiet --color never --env-prefix A_ --instance ci -- sh -c exit",
            "launch --help",
            "launch --nonsense -- true",
            "launch",
            "-v launch -- true",
            "plan",
        ] {
            let arguments: Vec<OsString> =
                ["farrier"].into_iter().chain(line.split(' ')).map(Into::into).collect();
            let told = |parsed: Result<Cli, clap::Error>| {
                parsed.map(|cli| format!("{cli:?}")).map_err(|error| error.to_string())
            };
            assert_eq!(told(Cli::of(&arguments)), told(Cli::try_parse_from(&arguments)), "{line}");
        }
    }
}
