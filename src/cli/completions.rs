//! `completions`: what lets a shell complete farrier's commands, options, and the names of sidecars.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, Command, CommandFactory, FromArgMatches, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCompleter, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCandidates, CompletionCandidate};

use super::data::print;
use super::managing::EngineSessions;
use crate::cli::options::{self, Cli};
use crate::definition::{self, is_sidecar_host};
use crate::event::Reporter;
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// Set by the script that `completions` prints, to the shell that wants candidates.
const VARIABLE: &str = "_FARRIER_COMPLETE";
/// How long whoever types waits for the names that only the engine knows.
const PATIENCE: Duration = Duration::from_millis(500);

/// Prints the script for a shell.
pub fn completions(options: &options::Completions) -> Result<u8, Failure> {
    let shell = options.shell.to_possible_value().map(|value| value.get_name().to_owned());
    let mut script = Vec::new();
    let written = Shells::builtins()
        .completer(&shell.unwrap_or_default())
        .map(|shell| shell.write_registration(VARIABLE, "farrier", "farrier", &program(), &mut script));
    match written {
        Some(Ok(())) => {
            print(&String::from_utf8_lossy(&script));
            Ok(exit::SUCCESS)
        }
        _ => Err(Problem::error(Code::Usage, "this shell is not supported")
            .hint("List the supported shells with `farrier completions --help`.")
            .into()),
    }
}

/// The program as it was called. A relative path becomes absolute, because the shell may change its folder.
fn program() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let program = match called.components().count() {
        0 | 1 => called,
        _ => std::path::absolute(&called).unwrap_or(called),
    };
    if program.as_os_str().is_empty() { "farrier".to_owned() } else { program.display().to_string() }
}

/// Answers the script, where it is the script that calls.
pub(super) fn complete(arguments: &[OsString]) -> Option<u8> {
    let shell = std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let words: Vec<OsString> = arguments.iter().skip_while(|word| *word != "--").skip(1).cloned().collect();
    let mut command = with_plain_paths(Cli::command());
    command.build();
    let mut candidates = Vec::new();
    let here = std::env::current_dir().ok();
    let answered = Shells::builtins()
        .completer(&shell.to_string_lossy())
        .map(|shell| shell.write_complete(&mut command, words, here.as_deref(), &mut candidates));
    print(&String::from_utf8_lossy(&candidates));
    Some(if matches!(answered, Some(Ok(()))) { exit::SUCCESS } else { exit::INVALID })
}

/// Lets paths be completed by names alone that no shell interprets: shells put candidates on the command line as they
/// are, and a checkout may hold files of any name. What is left out can still be typed.
fn with_plain_paths(command: Command) -> Command {
    let plain = |arg: Arg| match arg.get_value_hint() {
        _ if arg.get::<ArgValueCandidates>().is_some() || arg.get::<ArgValueCompleter>().is_some() => arg,
        ValueHint::Unknown | ValueHint::Other => arg,
        _ => arg.add(ArgValueCompleter::new(plain_paths)),
    };
    command.mut_args(plain).mut_subcommands(with_plain_paths)
}

fn plain_paths(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut paths = PathCompleter::any().complete(typed);
    paths.retain(|path| path.get_value().to_str().is_some_and(is_plain));
    paths
}

/// Whether shells and terminals take a word as the text that it is, and no program takes it for an option.
fn is_plain(word: &str) -> bool {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+@,".contains(letter);
    word.chars().all(is_plain) && !word.starts_with('-')
}

/// The sidecars that are declared by the layers of the environment, and those that are there.
pub(crate) fn sidecar_names() -> Vec<CompletionCandidate> {
    let Some(layers) = default_layers() else { return Vec::new() };
    let settings = Settings::new(&layers, &options::LaunchOptions::default());
    let loaded = definition::load(&settings.directories);
    let mut names: BTreeSet<String> =
        loaded.definitions.into_iter().map(|definition| definition.name).collect();
    names.extend(running_names(&layers).unwrap_or_default());
    // Files of a checkout and labels of containers may have any name.
    names.retain(|name| is_sidecar_host(name) && is_plain(name));
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The layer options of a command line without arguments: the values from the environment.
pub(super) fn default_layers() -> Option<options::LayerOptions> {
    let command = <options::LayerOptions as clap::Args>::augment_args(clap::Command::new("farrier"));
    let matches = command.try_get_matches_from([Path::new("farrier")]).ok()?;
    options::LayerOptions::from_arg_matches(&matches).ok()
}

fn running_names(layers: &options::LayerOptions) -> Option<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let silent = Reporter::new(Vec::new());
    let inventory = async { EngineSessions::open(layers, &silent).await.ok()?.inventory().await.ok() };
    let inventory =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, inventory).await.ok().flatten() })?;
    Some(inventory.sidecars.into_iter().map(|managed| managed.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_mean_themselves_are_candidates() {
        for word in ["db", "my_db-2.test", "a/b.toml", "größe", "../x", "/tmp/a,b+c@d"] {
            assert!(is_plain(word), "{word}");
        }
        for word in [
            "$(touch x)",
            "`x`",
            "a;b",
            "a|b",
            "a&b",
            "a>b",
            "a b",
            "a\tb",
            "a\nb",
            "a'b",
            "a\"b",
            "a\\b",
            "*",
            "a?b",
            "[a]",
            "{a,b}",
            "~x",
            "!x",
            "#x",
            "=x",
            "a:b",
            "%x",
            "^x",
            "\x1b[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "-rf",
            "a\x0bb",
        ] {
            assert!(!is_plain(word), "{word:?}");
        }
    }

    #[test]
    fn no_path_is_completed_by_anything_else() {
        fn check(command: &Command) {
            for arg in command.get_arguments() {
                let hinted = !matches!(arg.get_value_hint(), ValueHint::Unknown | ValueHint::Other);
                let guarded =
                    arg.get::<ArgValueCompleter>().is_some() || arg.get::<ArgValueCandidates>().is_some();
                assert!(!hinted || guarded, "{} {arg}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = with_plain_paths(Cli::command());
        command.build();
        check(&command);
    }
}
