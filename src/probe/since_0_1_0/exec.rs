//! `exec`: granted commands, whole argument lists, inside the sidecar's container.

use wasmtime::component::HasData;

use super::bindings::farrier::probe::exec::{self, Host, Output};
use super::types::Denial;
use super::{engine_denial, expect, no_turn};
use crate::definition::grants::Grants;
use crate::engine::EngineFeature;
use crate::probe::capabilities::{Capability, Grant};
use crate::probe::context::{ProbeContext, Subject};
use crate::probe::executions::Outcome;
use crate::probe::grants::{adding_command, list, quoted};
use crate::probe::store::{DENIED, HostState, Poll};

pub const CAPABILITY: Capability = Capability {
    name: "exec",
    sentence: "runs the commands that its definition grants, in its own container",
    grant: Some(Grant::Choice { example: "exec = [[\"command\", \"argument\"]]", written }),
    needs: Some(EngineFeature::Exec),
    link: |linker| exec::add_to_linker::<HostState, Commands<'static>>(linker, Commands::of),
};

fn written(grants: &Grants) -> Option<String> {
    let command = |command: &Vec<String>| list(command.iter().map(|word| quoted(word)));
    (!grants.exec.is_empty()).then(|| format!("exec = {}", list(grants.exec.iter().map(command))))
}

/// What it sees of the store: the container, the commands, and the poll.
struct Commands<'a> {
    subject: Option<&'a Subject>,
    granted: &'a [Vec<String>],
    declared: Option<&'a Vec<String>>,
    poll: &'a mut Poll,
}

impl HasData for Commands<'static> {
    type Data<'a> = Commands<'a>;
}

impl Commands<'_> {
    fn of(state: &mut HostState) -> Commands<'_> {
        let ProbeContext { subject, commands, declared, .. } = &state.probe_context;
        Commands {
            subject: subject.as_ref(),
            granted: commands,
            declared: declared.as_ref(),
            poll: &mut state.poll,
        }
    }
}

impl Host for Commands<'_> {
    async fn run(&mut self, argv: Vec<String>) -> wasmtime::Result<Result<Output, Denial>> {
        if !self.granted.contains(&argv) {
            let asked = "running this command is not granted";
            let is_denied = self.poll.grants.exec.contains(&argv);
            let what = match adding_command(&self.poll.grants, argv) {
                _ if is_denied => format!("{asked}: {DENIED}"),
                Some(line) => format!("{asked}: write `{line}` under [readiness]"),
                None => format!("{asked}, and cannot be: a command consists of words that are not empty"),
            };
            return Ok(Err(Denial::NotGranted(self.poll.note_not_granted(&what))));
        }
        let subject = match expect(self.subject) {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        self.poll.used.note_run(&argv);
        let limit = self.poll.left();
        let ended = subject.executions.run(&subject.engine, &subject.instance, argv, limit).await;
        Ok(match ended {
            Outcome::Ended(output) => Ok(Output {
                exit_code: i32::try_from(output.exit_code).unwrap_or(-1),
                stdout: output.stdout,
                stderr: output.stderr,
                truncated: output.truncated,
            }),
            Outcome::CannotRun(text) => {
                self.poll.observed.command_missing = true;
                Err(Denial::Other(text))
            }
            Outcome::Failed(error) => Err(engine_denial(&error)),
            Outcome::StillRunning => {
                self.poll.note_unanswered();
                Err(Denial::TimedOut)
            }
            Outcome::NoTurn => {
                self.poll.deadline.let_answer();
                Err(no_turn())
            }
        })
    }

    async fn declared(&mut self) -> wasmtime::Result<Option<Vec<String>>> {
        Ok(self.declared.cloned())
    }
}
