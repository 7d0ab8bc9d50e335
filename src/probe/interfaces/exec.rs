//! `exec`: granted commands, whole argument lists, inside the sidecar's container.

use super::exec_interface::{Host, Output};
use super::types::Denial;
use super::{HostState, engine_denial, no_turn};
use crate::probe::executions::Outcome;
use crate::probe::grants::adding_command;

impl Host for HostState {
    async fn run(&mut self, argv: Vec<String>) -> wasmtime::Result<Result<Output, Denial>> {
        if !self.powers.commands.contains(&argv) {
            let asked = "running this command is not granted";
            let what = match adding_command(&self.powers.grants, argv) {
                Some(line) => format!("{asked}: write `{line}` under [readiness]"),
                None => format!("{asked}, and cannot be: a command consists of words that are not empty"),
            };
            return Ok(Err(self.not_granted(&what)));
        }
        let subject = match self.subject() {
            Ok(subject) => subject,
            Err(denial) => return Ok(Err(denial)),
        };
        let limit = self.left();
        let ended = subject.executions.run(&subject.engine, &subject.container, argv, limit).await;
        Ok(match ended {
            Outcome::Ended(output) => Ok(Output {
                exit_code: i32::try_from(output.exit_code).unwrap_or(-1),
                stdout: output.stdout,
                stderr: output.stderr,
                truncated: output.truncated,
            }),
            Outcome::CannotRun(text) => {
                self.observed.command_missing = true;
                Err(Denial::Other(text))
            }
            Outcome::Failed(error) => Err(engine_denial(&error)),
            Outcome::StillRunning => Err(self.unanswered()),
            Outcome::NoTurn => {
                self.deadline.let_answer();
                Err(no_turn())
            }
        })
    }

    async fn declared(&mut self) -> wasmtime::Result<Option<Vec<String>>> {
        Ok(self.powers.declared.clone())
    }
}
