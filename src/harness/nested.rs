//! A command on this host that starts a container itself, as far as its own words tell, and the engine after it failed.
//! Such a container gets the variables of its parent at best, and their addresses cannot be reached from Docker's
//! default bridge.

mod script;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::wrappers::{self, Wrapper, program_name};
use crate::definition::{Definition, variable_token};
use crate::engine::CreatedContainer;
use crate::report::error::{Code, Problem};

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
/// So many containers are named that may be the harness's, and the last one.
const MOST_NAMED: usize = 4;
/// The exit codes after SIGINT and SIGTERM.
const INTERRUPTED: u8 = 128 + 2;
const TERMINATED: u8 = 128 + 15;

/// What to do about a container that a harness on this host starts itself.
#[derive(Debug)]
pub struct Advice {
    network: String,
    /// The options that give a container the address of the first sidecar.
    variables: String,
    /// Whether there are more sidecars with a port.
    has_more: bool,
}

impl Advice {
    /// The advice for these sidecars; `None` if none of them has a port.
    #[must_use]
    pub fn of<'a>(
        network: &str,
        prefix: &str,
        definitions: impl IntoIterator<Item = &'a Definition>,
    ) -> Option<Self> {
        let mut variables = definitions.into_iter().filter_map(|definition| {
            let (name, port) = (&definition.name, definition.port()?);
            let variable = format!("{prefix}{}", variable_token(name));
            Some(format!("-e {variable}_HOST={name} -e {variable}_PORT={port}"))
        });
        let first = variables.next()?;
        Some(Self { network: network.to_owned(), variables: first, has_more: variables.next().is_some() })
    }

    /// The warning before the command runs; `None` if its words show no container, or only such as can reach the
    /// sidecars.
    #[must_use]
    pub fn before(&self, command: &[OsString]) -> Option<Problem> {
        let started = of_command(command);
        let found = started.iter().find(|found| !found.uses(&self.network) && !found.uses("host"))?;
        let form = &found.form;
        let message = format!(
            "the harness runs `{form}` itself, and that container cannot reach the addresses that a command on this \
             host gets"
        );
        Some(self.problem(message, form.rsplit(' ').next().unwrap_or_default()))
    }

    /// The warning after a harness that failed while a container was started that cannot reach the sidecars. `None` if
    /// it succeeded or was interrupted, and if no such container was started meanwhile.
    #[must_use]
    pub fn after(&self, exit_code: u8, created: &[CreatedContainer]) -> Option<Problem> {
        if matches!(exit_code, 0 | INTERRUPTED | TERMINATED) {
            return None;
        }
        let lacks_them = |container: &&CreatedContainer| {
            let is_of_farrier = container.labels.keys().any(|label| label.starts_with("farrier."));
            let reaches = |network: &String| *network == self.network || network == "host";
            !is_of_farrier && !container.networks.is_empty() && !container.networks.iter().any(reaches)
        };
        let told = |container: &CreatedContainer| {
            let networks = container.networks.join("`, `");
            format!(
                "the container `{}` of the image `{}` on the network `{networks}`",
                container.name, container.image
            )
        };
        // Others on this host start containers, too: the harness's own may be any of them.
        let found: Vec<String> = created.iter().filter(lacks_them).map(told).collect();
        let (were, it, them) = if found.len() > 1 { ("were", "they", "them") } else { ("was", "it", "it") };
        let message = match found.as_slice() {
            [] => return None,
            [only] => only.clone(),
            [first @ .., last] => {
                let more = first.len().saturating_sub(MOST_NAMED);
                let named = first.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                if more > 0 {
                    format!("{named}, {more} others and {last}")
                } else {
                    format!("{named} and {last}")
                }
            }
        };
        let message = format!(
            "the harness ended with exit code {exit_code}; meanwhile, {message} {were} started, where {it} cannot reach \
             the sidecars; did the harness start {them}?"
        );
        Some(self.problem(message, "run"))
    }

    fn problem(&self, message: String, verb: &str) -> Problem {
        let Self { network, variables, has_more } = self;
        let others = if *has_more { ", and likewise for the other sidecars" } else { "" };
        Problem::warning(Code::HarnessShape, message)
            .hint(format!(
                "Write the container as the harness, `farrier launch … -- docker {verb} …`: farrier then adds the \
                 network and the variables."
            ))
            .hint(format!("Or write `docker {verb} --network {network} {variables} …` there{others}."))
    }
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

/// All containers that the command starts.
fn of_command(command: &[OsString]) -> Vec<Started> {
    let program = command.first().map(|program| program_name(program).to_str().unwrap_or_default());
    if program.is_none_or(|program| WRITERS.contains(&program)) {
        return Vec::new();
    }
    // Whatever stands in front may run what follows: `op run -- docker run …`, `direnv exec . docker run …`.
    match (0..command.len()).find_map(|index| start_at(command, index)) {
        Some(direct) => vec![direct],
        None => scripts(command).flat_map(|script| of_script(script, DEPTH)).collect(),
    }
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

fn of_script(script: &str, depth: usize) -> Vec<Started> {
    if depth == 0 {
        return Vec::new();
    }
    let of_segment = |segment: Vec<OsString>| {
        let at = command_of(&segment);
        let program = segment.get(at).map(|program| program_name(program).to_str().unwrap_or_default());
        if program.is_none_or(|program| WRITERS.contains(&program)) {
            return Vec::new();
        }
        let behind_dashes = segment.iter().position(|word| word == "--").map(|dashes| dashes + 1);
        let rest = segment.get(at..).unwrap_or_default();
        match [Some(at), behind_dashes].into_iter().flatten().find_map(|at| start_at(&segment, at)) {
            Some(direct) => vec![direct],
            None => scripts(rest).flat_map(|script| of_script(script, depth - 1)).collect(),
        }
    };
    script::commands(script).into_iter().flat_map(of_segment).collect()
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
    let arguments = words.get(verb + 1..)?.to_vec();
    let is_option = |word: &OsString| word.as_bytes().starts_with(b"-");
    let mut options = arguments.iter().take_while(|word| is_option(word));
    if options.any(|option| option == "--help") || arguments.iter().all(is_option) {
        return None;
    }
    Some(Started { form: format!("{engine} {name}"), arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(words: &[&str]) -> Option<String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        of_command(&words).into_iter().next().map(|started| started.form)
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
            (&["sh", "-c", "cat <<EOF\ntext\nEOF\ndocker run x"], "docker run"),
            (&["sh", "-c", "echo $((1<<2))\ndocker run x"], "docker run"),
            (&["sh", "-c", "cat <<<EOF\ndocker run x"], "docker run"),
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
            &["sh", "-c", "docker run --help"],
            &["sh", "-c", "docker run --rm --help x"],
            &["sh", "-c", "cat > note <<EOF\ndocker run x\nEOF"],
            &["sh", "-c", "cat <<-'END' | tee note\n\tdocker run x\n\tEND\ntrue"],
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

    fn advice() -> Advice {
        Advice { network: "farrier".to_owned(), variables: "-e A=b".to_owned(), has_more: false }
    }

    #[test]
    fn each_container_needs_a_network_that_reaches_the_sidecars() {
        for (script, expected) in [
            ("docker run --network farrier x", false),
            ("docker run --net=host x", false),
            ("docker run --network farrier x; docker run --net host y", false),
            ("docker run --network other farrier", true),
            ("docker run x", true),
            ("docker run --network farrier x; docker run y", true),
            ("sh -c 'docker run --network farrier x'; sh -c 'docker create y'", true),
        ] {
            let command = ["sh", "-c", script].map(OsString::from);
            assert_eq!(advice().before(&command).is_some(), expected, "{script}");
        }
    }

    #[test]
    fn a_container_that_was_started_off_the_network_is_told_after_a_failure() {
        let on = |networks: &[&str], label: &str| CreatedContainer {
            name: "quick_crow".to_owned(),
            image: "alpine".to_owned(),
            labels: std::iter::once((label.to_owned(), String::new())).collect(),
            networks: networks.iter().map(|network| (*network).to_owned()).collect(),
        };
        for (exit_code, container, expected) in [
            (2, on(&["bridge"], "maintainer"), true),
            (1, on(&["project_default", "other"], "com.docker.compose.project"), true),
            (0, on(&["bridge"], "maintainer"), false),
            (130, on(&["bridge"], "maintainer"), false),
            (2, on(&["farrier"], "maintainer"), false),
            (2, on(&["bridge", "farrier"], "maintainer"), false),
            (2, on(&["host"], "maintainer"), false),
            (2, on(&[], "maintainer"), false),
            (2, on(&["bridge"], "farrier.sidecar"), false),
        ] {
            let reaching = on(&["farrier"], "maintainer");
            let told = advice().after(exit_code, &[reaching, container.clone()]);
            assert_eq!(told.is_some(), expected, "{exit_code} {container:?}");
        }
        let message = advice().after(2, &[on(&["bridge"], "")]).expect("a warning").message;
        assert!(
            message.contains("`quick_crow` of the image `alpine`") && message.contains("`bridge`"),
            "{message}"
        );
        let many = |count: usize| vec![on(&["bridge"], ""); count];
        for (count, words) in [
            (2, "on the network `bridge` and the container `quick_crow`"),
            (5, "on the network `bridge` and the container `quick_crow`"),
            (7, ", 2 others and the container `quick_crow`"),
        ] {
            let message = advice().after(2, &many(count)).expect("a warning").message;
            assert!(message.contains(words) && message.contains("were started"), "{message}");
            assert_eq!(message.matches("quick_crow").count(), count.min(MOST_NAMED + 1), "{message}");
        }
    }
}
