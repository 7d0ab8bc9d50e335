//! Commands of a probe that are run on this host, since there is no container, and the record of how they ended.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
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

/// How commands ended, in their order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Executed(Arc<Mutex<Vec<Command>>>);

impl Executed {
    /// Those since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes how a command ended.
    pub fn note(&self, argv: &[String], takes: Duration, end: CommandEnd) {
        let command = Command { argv: argv.to_vec(), takes: brief(takes), end };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    }

    /// Runs a command on this host for at most this long, and notes how it ended. The whole program waits for it.
    #[must_use]
    pub fn run(&self, argv: &[String], limit: Duration) -> Run {
        let begun = Instant::now();
        let end = match run(argv, limit) {
            Ok(Some(end)) => end,
            // It counts as running, and its poll ends without it.
            Ok(None) => {
                let end = CommandEnd::Exits { exit_code: 137, stdout: Vec::new(), stderr: Vec::new() };
                self.note(argv, limit * 2, end);
                return Run::forever();
            }
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
}

/// How a command ended; `None` if it was killed at its limit. What it started in its group ends with it.
fn run(argv: &[String], limit: Duration) -> std::io::Result<Option<CommandEnd>> {
    let (program, arguments) = argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut process = Process::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.process_group(0).spawn()?;
    let outputs = output(child.stdout.take()).and_then(|first| Ok((first, output(child.stderr.take())?)));
    let ended = outputs.and_then(|outputs| Ok((outputs, has_ended(&child, limit)?)));
    // Before it is waited for: until then, the number is its group's.
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = Pid::from_raw(group).map(|group| kill_process_group(group, Signal::KILL));
    }
    let code = child.wait()?.code().unwrap_or(137);
    let ((stdout, stderr), has_ended) = ended?;
    if !has_ended {
        return Ok(None);
    }
    let rest = |output: Receiver<Vec<u8>>| output.recv_timeout(REST).unwrap_or_default();
    let exit_code = u8::try_from(code).unwrap_or(u8::MAX);
    Ok(Some(CommandEnd::Exits { exit_code, stdout: rest(stdout), stderr: rest(stderr) }))
}

/// Whether a process ends in time. It keeps its number.
fn has_ended(child: &Child, limit: Duration) -> std::io::Result<bool> {
    let begun = Instant::now();
    let process =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::NotFound)?;
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
fn output(from: Option<impl Read + Send + 'static>) -> std::io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = channel();
    let read = move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            // What came until a failure is what there is.
            let mut kept = from.take(EXEC_OUTPUT as u64 + 1);
            let _ = kept.read_to_end(&mut bytes);
            let _ = std::io::copy(&mut kept.into_inner(), &mut std::io::sink());
        }
        let _ = sender.send(bytes);
    };
    thread::Builder::new().name("command".to_owned()).spawn(read)?;
    Ok(receiver)
}
