//! Command lines that start a container in a form that farrier does not rewrite, and what to write instead.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::report::error::{Code, Problem};

/// A program that runs the command in its arguments.
#[derive(Debug)]
pub struct Wrapper {
    name: &'static str,
    /// Whether the command runs as another user.
    changes_user: bool,
    /// The short options that take a value.
    letters: &'static [u8],
    /// The long options that take a value, where it need not be attached.
    names: &'static [&'static str],
    /// How many operands stand in front of the command.
    operands: usize,
    /// Whether `NAME=VALUE` may stand in front of the command.
    assigns: bool,
}

const fn wrapper(name: &'static str, letters: &'static [u8], names: &'static [&'static str]) -> Wrapper {
    Wrapper { name, changes_user: false, letters, names, operands: 0, assigns: false }
}

/// With the options that coreutils, util-linux, sudo, doas, polkit and bash give them.
static WRAPPERS: &[Wrapper] = &[
    Wrapper {
        changes_user: true,
        assigns: true,
        ..wrapper(
            "sudo",
            b"CDghpRrTtUu",
            &[
                "close-from",
                "chdir",
                "group",
                "host",
                "prompt",
                "chroot",
                "role",
                "command-timeout",
                "type",
                "other-user",
                "user",
            ],
        )
    },
    Wrapper { changes_user: true, ..wrapper("doas", b"aCu", &[]) },
    Wrapper { changes_user: true, ..wrapper("pkexec", b"u", &["user"]) },
    Wrapper { assigns: true, ..wrapper("env", b"uCSP", &["unset", "chdir", "split-string"]) },
    wrapper("nice", b"n", &["adjustment"]),
    wrapper("ionice", b"cnpPu", &["class", "classdata", "pid", "pgid", "uid"]),
    wrapper("nohup", b"", &[]),
    wrapper("setsid", b"", &[]),
    wrapper("stdbuf", b"ioe", &["input", "output", "error"]),
    wrapper("time", b"fo", &["format", "output"]),
    wrapper("exec", b"a", &[]),
    wrapper("command", b"", &[]),
    Wrapper { operands: 1, ..wrapper("timeout", b"ks", &["kill-after", "signal"]) },
    Wrapper { operands: 1, ..wrapper("chrt", b"TPD", &["sched-runtime", "sched-period", "sched-deadline"]) },
    Wrapper { operands: 1, ..wrapper("taskset", b"", &[]) },
    Wrapper { operands: 1, ..wrapper("flock", b"wE", &["wait", "timeout", "conflict-exit-code"]) },
];

/// Container tools whose `run` reads like docker's, and whose engines farrier does not talk to.
const OTHER_ENGINES: &[&str] = &["nerdctl", "finch"];

/// The programs that take the command line of `docker compose`.
const COMPOSE: &[&str] = &["docker-compose", "podman-compose"];

/// The last part of a program's path.
#[must_use]
pub fn program_name(program: &OsStr) -> &OsStr {
    Path::new(program).file_name().unwrap_or_default()
}

impl Wrapper {
    /// The wrapper of this program name.
    #[must_use]
    pub fn of(program: &OsStr) -> Option<&'static Self> {
        let name = program_name(program);
        WRAPPERS.iter().find(|wrapper| name == wrapper.name)
    }

    /// The index of the command that it runs, where the wrapper itself stands at `at`.
    #[must_use]
    pub fn command(&self, arguments: &[OsString], at: usize) -> Option<usize> {
        let mut index = operand(arguments, at + 1, self.letters, self.names);
        let is_setting = |argument: &OsString| {
            self.assigns && (argument == "-" || argument.as_bytes().iter().skip(1).any(|byte| *byte == b'='))
        };
        while arguments.get(index).is_some_and(is_setting) {
            index += 1;
        }
        index += self.operands;
        (index < arguments.len()).then_some(index)
    }

    /// That `docker run`, `docker create` or the like (`form`) stands behind this wrapper.
    #[must_use]
    pub fn refusal(&self, form: &str) -> Problem {
        let name = self.name;
        if self.changes_user {
            let client = form.split(' ').next().unwrap_or_default();
            let message = format!(
                "the harness is `{name} {form}`: another user's {client}, which farrier does not rewrite"
            );
            let way_out = if client == "docker" {
                "; if your user may not use the engine, add it to the `docker` group or use a rootless engine"
            } else {
                ": your user has a Podman of its own"
            };
            return Problem::error(Code::HarnessShape, message)
                .hint(format!("Write `farrier launch … -- {form} …`{way_out}."))
                .hint(format!("Or give farrier the same rights: `{name} farrier launch … -- {form} …`."));
        }
        let message = format!("the harness is `{form}` behind `{name}`, which farrier does not rewrite");
        Problem::error(Code::HarnessShape, message).hint(format!(
            "Put `{name}` and its arguments in front of farrier: `{name} … farrier launch … -- {form} …`."
        ))
    }
}

/// Refuses a container that is started at `at` by another tool than `docker` and `podman`.
///
/// # Errors
/// `harness-shape` for `docker-compose run`, and for `run` and `create` of nerdctl and its like.
pub fn refuse_other_tools(arguments: &[OsString], at: usize) -> Result<(), Problem> {
    let Some(program) = arguments.get(at).map(|program| program_name(program)) else {
        return Ok(());
    };
    if let Some(name) = COMPOSE.iter().find(|name| program == **name) {
        return refuse_compose(arguments, at + 1, name);
    }
    let Some(name) = OTHER_ENGINES.iter().find(|name| program == **name) else {
        return Ok(());
    };
    let mut verb = operand(arguments, at + 1, ENGINE_LETTERS, ENGINE_NAMES);
    let word = |index: usize| arguments.get(index).and_then(|argument| argument.to_str());
    match word(verb) {
        Some("compose") => return refuse_compose(arguments, verb + 1, &format!("{name} compose")),
        Some("container") => verb += 1,
        _ => {}
    }
    match word(verb) {
        Some(verb @ ("run" | "create")) => {
            let message = format!(
                "the harness is `{name} {verb}`, and farrier starts its sidecars on Docker or Podman"
            );
            Err(Problem::error(Code::HarnessShape, message).hint(format!(
                "Write `farrier launch … -- docker {verb} …`: the harness and the sidecars must be on the same engine."
            )))
        }
        _ => Ok(()),
    }
}

/// The index of the first word behind the options of docker or of a tool like it, which start at `start`.
pub(super) fn engine_operand(arguments: &[OsString], start: usize) -> usize {
    operand(arguments, start, ENGINE_LETTERS, ENGINE_NAMES)
}

/// The value-taking global options of docker, podman and nerdctl.
const ENGINE_LETTERS: &[u8] = b"aclnH";
const ENGINE_NAMES: &[&str] = &[
    "address",
    "cgroup-manager",
    "cni-netconfpath",
    "cni-path",
    "config",
    "conmon",
    "connection",
    "context",
    "data-root",
    "events-backend",
    "hooks-dir",
    "host",
    "hosts-dir",
    "identity",
    "imagestore",
    "log-level",
    "module",
    "namespace",
    "network-cmd-path",
    "network-config-dir",
    "out",
    "root",
    "runroot",
    "runtime",
    "runtime-flag",
    "snapshotter",
    "ssh",
    "storage-driver",
    "storage-opt",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tmpdir",
    "url",
    "volumepath",
];

/// Refuses `run` among the arguments of compose that start at `at`; other verbs are host commands.
///
/// # Errors
/// `harness-shape` for `run`.
pub fn refuse_compose(arguments: &[OsString], at: usize, compose: &str) -> Result<(), Problem> {
    let verb = operand(arguments, at, COMPOSE_LETTERS, COMPOSE_NAMES);
    if arguments.get(verb).is_none_or(|verb| verb != "run") {
        return Ok(());
    }
    let message =
        format!("the harness is `{compose} run`, to which farrier cannot add variables and a network");
    Err(Problem::error(Code::HarnessShape, message).hint(
        "Write `farrier launch … -- docker run --rm -it IMAGE …`, with `--network PROJECT_default` if the harness \
         also needs the services of the compose file.",
    ))
}

/// The value-taking options in front of compose's verb.
const COMPOSE_LETTERS: &[u8] = b"cfHp";
const COMPOSE_NAMES: &[&str] = &[
    "ansi",
    "context",
    "env-file",
    "file",
    "host",
    "log-level",
    "parallel",
    "profile",
    "progress",
    "project-directory",
    "project-name",
    "tlscacert",
    "tlscert",
    "tlskey",
    "workdir",
];

/// The index of the first operand from `start` on; `letters` and `names` are the options that take a value.
fn operand(arguments: &[OsString], start: usize, letters: &[u8], names: &[&str]) -> usize {
    let mut index = start;
    while let Some(argument) = arguments.get(index) {
        let takes_next = match argument.as_bytes() {
            b"--" => return index + 1,
            [b'-', b'-', name @ ..] => names.iter().any(|known| known.as_bytes() == name),
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                let value = cluster.iter().position(|letter| letters.contains(letter));
                value.is_some_and(|at| at + 1 == cluster.len())
            }
            _ => return index,
        };
        index += if takes_next { 2 } else { 1 };
    }
    index
}
