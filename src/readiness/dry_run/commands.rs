//! Commands of a probe that are run on this host, since there is no container, and the record of how they ended.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::conversation::brief;
use crate::definition::scenario::{Command, CommandEnd};
use crate::engine::docker::double::{End, Run};
use crate::probe::limits::EXEC_OUTPUT;

/// How often an end is looked for.
const PAUSE: Duration = Duration::from_millis(2);
/// How long output may come after the end: whoever else holds the pipe is not waited for.
const REST: Duration = Duration::from_millis(100);
/// The exit code of what SIGKILL ended, as shells and engines tell it.
const KILLED: u8 = 137;

/// How commands ended, in their order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Executed(Arc<Mutex<Commands>>);

#[derive(Debug, Default)]
struct Commands {
    ended: Vec<Command>,
    running: Option<Running>,
    /// Whether the polls are over: nothing begins any more.
    is_over: bool,
}

/// A command that runs. Nobody has waited for its first process yet, so that the number is its group's.
#[derive(Debug)]
struct Running {
    group: Pid,
    argv: Vec<String>,
    limit: Duration,
}

impl Commands {
    /// Ends the command that runs, and notes that its poll did not see its end.
    fn give_up(&mut self) {
        let Some(Running { group, argv, limit }) = self.running.take() else { return };
        let _ = kill_process_group(group, Signal::KILL);
        let end = CommandEnd::Exits { exit_code: KILLED, stdout: Vec::new(), stderr: Vec::new() };
        self.ended.push(Command { argv, takes: limit.saturating_mul(2), end });
    }
}

/// Ends the command that runs when it is dropped: a signal may end the polls at any moment.
pub struct EndWithPolls(pub Executed);

impl Drop for EndWithPolls {
    fn drop(&mut self) {
        let mut commands = self.0.commands();
        commands.is_over = true;
        commands.give_up();
    }
}

impl Executed {
    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those since the last time. One that still runs is ended: its poll is over.
    #[must_use]
    pub fn take(&self) -> Vec<Command> {
        let mut commands = self.commands();
        commands.give_up();
        std::mem::take(&mut commands.ended)
    }

    /// Notes how a command ended.
    pub fn note(&self, argv: &[String], takes: Duration, end: CommandEnd) {
        self.commands().ended.push(Command { argv: argv.to_vec(), takes: brief(takes), end });
    }

    /// Runs a command on this host for at most this long, waits for it, and notes how it ended.
    #[must_use]
    pub fn run(&self, argv: &[String], limit: Duration) -> Run {
        let begun = Instant::now();
        let end = match self.end(argv, limit) {
            Ok(Some(end)) => end,
            // It counts as running, and its poll ends without it.
            Ok(None) => return Run::forever(),
            Err(error) => CommandEnd::CannotRun(format!("`{}`: {error}", argv.join(" "))),
        };
        self.note(argv, begun.elapsed(), end.clone());
        match end {
            CommandEnd::Exits { exit_code, stdout, stderr } => {
                Run { stdout, stderr, after: Duration::ZERO, end: End::Exit(exit_code.into()) }
            }
            CommandEnd::CannotRun(reason) => Run::ending(End::CannotRun(reason)),
        }
    }

    /// How a command ended; `None` if it was killed, and noted, before its end. What it started in its group ends with it.
    fn end(&self, argv: &[String], limit: Duration) -> io::Result<Option<CommandEnd>> {
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut process = Process::new(program);
        process.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.process_group(0);
        let (mut child, group) = {
            // Nobody ends it between its start and this note.
            let mut commands = self.commands();
            if commands.is_over {
                return Ok(None);
            }
            commands.give_up();
            let child = process.spawn()?;
            let group =
                i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
            commands.running = Some(Running { group, argv: argv.to_vec(), limit });
            (child, group)
        };
        let outputs = output(child.stdout.take()).and_then(|first| Ok((first, output(child.stderr.take())?)));
        let ended = outputs.and_then(|outputs| Ok((outputs, has_ended(group, limit)?)));
        let was_given_up = {
            let mut commands = self.commands();
            if matches!(ended, Ok((_, false))) {
                commands.give_up();
            }
            let is_running = commands.running.take_if(|running| running.group == group).is_some();
            if is_running {
                let _ = kill_process_group(group, Signal::KILL);
            }
            !is_running
        };
        let status = child.wait()?;
        // As shells tell it.
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(KILLED.into());
        let ((stdout, stderr), _) = ended?;
        if was_given_up {
            return Ok(None);
        }
        let rest = |output: Receiver<Vec<u8>>| output.recv_timeout(REST).unwrap_or_default();
        let exit_code = u8::try_from(code).unwrap_or(u8::MAX);
        Ok(Some(CommandEnd::Exits { exit_code, stdout: rest(stdout), stderr: rest(stderr) }))
    }
}

/// Whether a process ends in time. It keeps its number.
fn has_ended(process: Pid, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(process), options)?.is_none() {
        if begun.elapsed() >= limit {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Reads an output to its end, as far as a probe may see it.
fn output(from: Option<impl Read + Send + 'static>) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = channel();
    let read = move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            // What came until a failure is what there is.
            let mut kept = from.take(EXEC_OUTPUT as u64 + 1);
            let _ = kept.read_to_end(&mut bytes);
            let _ = io::copy(&mut kept.into_inner(), &mut io::sink());
        }
        let _ = sender.send(bytes);
    };
    thread::Builder::new().name("command".to_owned()).spawn(read)?;
    Ok(receiver)
}
