//! Runs a command as if the program had: with its environment, in its folder, beside it on this host or in its container.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::instance_folder::InstanceFolder;
use super::roles::{ENTER, Helper, LIMITED_COMMAND};
use super::specification::Runs;
use super::store::{Stored, refused};
use crate::engine::{EngineResult, ExecOutput, ExecRequest};

/// Bytes that are read at once.
const CHUNK: usize = 8 << 10;
/// As a shell has it.
const NOT_FOUND: i64 = 127;
const NOT_EXECUTABLE: i64 = 126;

/// The processes of a command, which are ended when nobody waits for it any more.
struct Group {
    id: Option<Pid>,
    /// What ends them: whoever waits in a container ends what this user may not.
    signal: Signal,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.id {
            let _ = kill_process_group(group, self.signal);
        }
    }
}

/// Runs a command to its end.
pub async fn execute(
    folder: &InstanceFolder,
    helper: &Helper,
    stored: &Stored,
    request: &ExecRequest,
) -> EngineResult<ExecOutput> {
    let specification = &stored.specification;
    let Some((program, arguments)) = request.arguments.split_first() else {
        return Err(refused("there is no command"));
    };
    let (mut command, signal) = match &specification.runs {
        Runs::Program(own) if own.is_limited() => {
            let mut command = Command::new(&helper.0);
            command
                .env_clear()
                .arg0("farrier")
                .arg(LIMITED_COMMAND)
                .arg(&folder.0)
                .arg(program)
                .args(arguments);
            (command, Signal::KILL)
        }
        Runs::Program(own) => {
            let mut command = Command::new(program);
            command.args(arguments).env_clear().envs(&specification.env);
            command.current_dir(own.directory.clone().unwrap_or_else(|| folder.file("work")));
            (command, Signal::KILL)
        }
        Runs::Container(_) => {
            let mut command = Command::new(&helper.0);
            command.env_clear().arg0("farrier").arg(ENTER).arg(&folder.0).arg(program).args(arguments);
            (command, Signal::TERM)
        }
    };
    let spawned = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(signal == Signal::KILL)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let exit_code =
                if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            let stderr = format!("cannot execute {program}: {error}").into_bytes();
            return Ok(ExecOutput { exit_code, stderr, ..ExecOutput::default() });
        }
    };
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group { id: id.and_then(Pid::from_raw), signal };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let (stdout, stderr) =
            tokio::join!(beginning(stdout, request.output_limit), beginning(stderr, request.output_limit));
        // Its number is its own until it is waited for.
        (stdout, stderr, child.wait().await)
    };
    let (stdout, stderr, status) = read.await;
    group.id = None;
    let status = status.map_err(|error| refused(format!("cannot wait for {program}: {error}")))?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    Ok(ExecOutput {
        exit_code: i64::from(status.code().or(signal).unwrap_or(1)),
        truncated: stdout.1 || stderr.1,
        stdout: stdout.0,
        stderr: stderr.0,
    })
}

/// The beginning of what is written, and whether that is not all.
async fn beginning(stream: Option<impl AsyncRead + Unpin>, most: usize) -> (Vec<u8>, bool) {
    let (mut kept, mut is_cut) = (Vec::new(), false);
    let Some(mut stream) = stream else { return (kept, is_cut) };
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        let room = most - kept.len();
        kept.extend(chunk.iter().take(read.min(room)));
        is_cut |= read > room;
    }
    (kept, is_cut)
}
