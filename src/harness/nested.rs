//! A command on this host that starts a container itself, as far as its own words tell. Such a container gets the
//! variables of its parent at best, and their addresses cannot be reached from Docker's default bridge.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::wrappers::{self, Wrapper, program_name};
use crate::definition::{Definition, variable_token};
use crate::error::{Code, Problem};

/// Programs whose `run` and `create` start containers.
const ENGINES: &[&str] = &["docker", "podman", "podman-remote", "nerdctl", "finch"];
/// Programs that only write or search for their arguments.
const WRITERS: &[&str] =
    &["echo", "printf", "git", "grep", "egrep", "rg", "logger", "cat", "man", "which", "type", "test", "["];
/// Programs that take the text of a script as an argument, without an option in front.
const RUNNERS: &[&str] = &["make", "gmake", "just", "task", "watch", "xargs", "parallel", "entr", "eval"];
/// Words of a shell in front of a command.
const KEYWORDS: &[&str] = &["if", "then", "else", "elif", "while", "until", "do", "!", "{"];
/// How deep a script may stand in a script.
const DEPTH: usize = 4;

/// The warning about a container that the command starts itself, with what to do; `None` if its words show none, or
/// that it has the right network already.
#[must_use]
pub fn warning<'a>(
    command: &[OsString],
    network: &str,
    definitions: impl IntoIterator<Item = &'a Definition>,
) -> Option<Problem> {
    let variables: Vec<String> = definitions
        .into_iter()
        .filter_map(|definition| {
            let prefix = format!("SWARMFORGE_TONG_{}", variable_token(&definition.name));
            definition
                .port()
                .map(|port| format!("-e {prefix}_HOST={} -e {prefix}_PORT={port}", definition.name))
        })
        .collect();
    let first = variables.first()?;
    let found = of_command(command)?;
    if found.uses(network) || found.uses("host") {
        return None;
    }
    let form = &found.form;
    let message = format!(
        "the harness runs `{form}` itself, and that container cannot reach the addresses that a command on this host \
         gets"
    );
    let others = if variables.len() > 1 { ", and likewise for the other sidecars" } else { "" };
    let verb = form.rsplit(' ').next().unwrap_or_default();
    Some(
        Problem::warning(Code::HarnessShape, message)
            .hint(format!(
                "Write the container as the harness, `farrier launch … -- docker {verb} …`: farrier then adds the \
                 network and the variables."
            ))
            .hint(format!("Or write `docker {verb} --network {network} {first} …` there{others}.")),
    )
}

/// A container that is started.
#[derive(Debug, PartialEq, Eq)]
struct Started {
    /// `docker run` and the like.
    form: String,
    /// What follows.
    arguments: Vec<OsString>,
}

impl Started {
    fn uses(&self, network: &str) -> bool {
        let word = |index: usize| self.arguments.get(index).and_then(|word| word.to_str());
        (0..self.arguments.len()).any(|index| match word(index) {
            Some("--network" | "--net") => word(index + 1) == Some(network),
            Some(other) => {
                let value = other.strip_prefix("--network=").or_else(|| other.strip_prefix("--net="));
                value == Some(network)
            }
            None => false,
        })
    }
}

fn of_command(command: &[OsString]) -> Option<Started> {
    let program = program_name(command.first()?).to_str().unwrap_or_default();
    if WRITERS.contains(&program) {
        return None;
    }
    // Whatever stands in front may run what follows: `op run -- docker run …`, `direnv exec . docker run …`.
    let direct = (0..command.len()).find_map(|index| start_at(command, index));
    direct.or_else(|| scripts(command).find_map(|script| of_script(script, DEPTH)))
}

/// The arguments that are scripts.
fn scripts(command: &[OsString]) -> impl Iterator<Item = &str> {
    let program = command.first().map(|program| program_name(program).to_str().unwrap_or_default());
    let is_runner = program.is_some_and(|program| RUNNERS.contains(&program));
    command.iter().enumerate().skip(1).filter_map(move |(index, word)| {
        let word = word.to_str()?;
        let before = command.get(index - 1).map(|word| word.as_bytes()).unwrap_or_default();
        let is_script = match before {
            b"--command" | b"--run" => true,
            [b'-', letters @ ..] => letters.ends_with(b"c") && !letters.starts_with(b"-"),
            _ => false,
        };
        let value = word.split_once('=').filter(|(name, _)| name.bytes().all(is_of_name));
        match value {
            Some((_, value)) if !is_script => Some(value),
            _ => (is_script || is_runner).then_some(word),
        }
    })
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn of_script(script: &str, depth: usize) -> Option<Started> {
    if depth == 0 {
        return None;
    }
    segments(script).into_iter().find_map(|segment| {
        let at = command_of(&segment);
        let program = program_name(segment.get(at)?).to_str().unwrap_or_default();
        if WRITERS.contains(&program) {
            return None;
        }
        let behind_dashes = segment.iter().position(|word| word == "--").map(|dashes| dashes + 1);
        let direct = [Some(at), behind_dashes].into_iter().flatten().find_map(|at| start_at(&segment, at));
        direct.or_else(|| scripts(segment.get(at..)?).find_map(|script| of_script(script, depth - 1)))
    })
}

/// Where the command of a segment stands, behind settings, keywords and programs that run it.
fn command_of(segment: &[OsString]) -> usize {
    let mut at = 0;
    while let Some(word) = segment.get(at) {
        let is_setting = word.to_str().and_then(|word| word.split_once('='));
        let is_setting = is_setting.is_some_and(|(name, _)| name.bytes().all(is_of_name));
        if is_setting || KEYWORDS.iter().any(|keyword| word == keyword) {
            at += 1;
        } else if let Some(inner) = Wrapper::of(word).and_then(|wrapper| wrapper.command(segment, at)) {
            at = inner;
        } else {
            break;
        }
    }
    at
}

/// The container that an engine's command at `at` starts; it needs an image at least.
fn start_at(words: &[OsString], at: usize) -> Option<Started> {
    let engine = program_name(words.get(at)?).to_str().filter(|name| ENGINES.contains(name))?;
    let mut verb = wrappers::engine_operand(words, at + 1);
    if words.get(verb).is_some_and(|word| word == "container") {
        verb += 1;
    }
    let name = words.get(verb)?.to_str().filter(|verb| matches!(*verb, "run" | "create"))?;
    let arguments = words.get(verb + 1..).filter(|arguments| !arguments.is_empty())?.to_vec();
    Some(Started { form: format!("{engine} {name}"), arguments })
}

/// The commands of a script, each as its words. Quotes are taken away, and nothing is expanded.
fn segments(script: &str) -> Vec<Vec<OsString>> {
    let mut split = Split::default();
    let mut quote = None;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), other) => split.push(other),
            // A command in a command.
            (_, '`' | '$') if character == '`' || characters.peek() == Some(&'(') => {
                quote = None;
                split.segment();
            }
            (_, '\\') => match characters.next() {
                Some('\n') | None => {}
                Some(other) => split.push(other),
            },
            (None, '\'' | '"') => {
                split.is_word = true;
                quote = Some(character);
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '}') => split.segment(),
            (None, other) if other.is_whitespace() => split.word(),
            (_, other) => split.push(other),
        }
    }
    split.segment();
    split.segments
}

#[derive(Default)]
struct Split {
    segments: Vec<Vec<OsString>>,
    words: Vec<OsString>,
    word: String,
    is_word: bool,
}

impl Split {
    fn push(&mut self, character: char) {
        self.is_word = true;
        self.word.push(character);
    }

    fn word(&mut self) {
        if std::mem::take(&mut self.is_word) {
            self.words.push(std::mem::take(&mut self.word).into());
        }
    }

    fn segment(&mut self) {
        self.word();
        if !self.words.is_empty() {
            self.segments.push(std::mem::take(&mut self.words));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(words: &[&str]) -> Option<String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        of_command(&words).map(|started| started.form)
    }

    #[test]
    fn a_container_that_a_command_starts_itself_is_found() {
        for (words, expected) in [
            (&["sh", "-c", "docker run x"] as &[&str], "docker run"),
            (&["bash", "-lc", "cd /a && exec docker  run --rm x"], "docker run"),
            (&["sh", "-c", "id=$(docker -H unix:///x create x)"], "docker create"),
            (&["sh", "-c", "A=1 sudo -E \"docker\" container run x"], "docker run"),
            (&["sh", "-c", "bash -c 'podman run x'"], "podman run"),
            (&["sh", "-c", "if true; then /usr/bin/docker run x; fi"], "docker run"),
            (&["sh", "-c", "docker \\\n run x"], "docker run"),
            (&["sh", "-c", "op run -- docker run x"], "docker run"),
            (&["op", "run", "--env-file=e", "--", "docker", "run", "x"], "docker run"),
            (&["direnv", "exec", ".", "podman", "--log-level", "debug", "run", "x"], "podman run"),
            (&["make", "test", "CMD=docker run x"], "docker run"),
            (&["nix-shell", "--run", "docker run x"], "docker run"),
            (&["watch", "docker run x"], "docker run"),
        ] {
            assert_eq!(form(words).as_deref(), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn words_about_containers_are_no_containers() {
        for words in [
            &["echo", "docker", "running"] as &[&str],
            &["echo", "docker", "run", "x"],
            &["sh", "-c", "echo docker run x"],
            &["sh", "-c", "echo 'docker run x'"],
            &["sh", "-c", "docker ps; runner x"],
            &["sh", "-c", "docker exec db run x"],
            &["sh", "-c", "docker run"],
            &["git", "commit", "-m", "docker run x"],
            &["agent", "-p", "docker run x does not work, mend it"],
            &["agent", "explain docker run x"],
            &["make", "docker-run"],
            &["docker", "logs", "run"],
            &["./run.sh", "docker"],
            &[],
        ] {
            assert_eq!(form(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_network_that_reaches_the_sidecars_is_seen() {
        let uses = |script: &str| {
            of_script(script, DEPTH).is_some_and(|started| started.uses("farrier") || started.uses("host"))
        };
        assert!(uses("docker run --network farrier x") && uses("docker run --net=host x"));
        assert!(!uses("docker run --network other farrier") && !uses("docker run x"));
    }
}
