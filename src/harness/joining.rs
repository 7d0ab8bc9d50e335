//! A harness in a container that named its own network, and is on its session's, too. Docker's client takes one network for
//! a new container up to version 24, so the container is created, connected, and started in the foreground; so is Podman's.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;

use tokio::process::Command;

use super::run::Foreground;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// What joins a harness's container to a further network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joining {
    /// The network.
    pub network: String,
    /// `docker` or `podman` with its own options.
    pub client: Vec<OsString>,
    /// Whether the container's standard input stays open.
    pub is_interactive: bool,
}

/// Creates the harness's container and connects it; gives the command that starts it in the foreground. A harness that joins
/// no further network stays as it is.
///
/// # Errors
/// With the client's own exit code and words if it cannot create the container.
pub async fn create(harness: Foreground) -> Result<Foreground, Failure> {
    let Some(joining) = &harness.joining else { return Ok(harness) };
    let created = run(&harness.command, &harness.set).await?;
    let Some(id) = created.lines().last().map(str::trim).filter(|id| !id.is_empty()) else {
        return Err(failed("the client created the harness's container, but did not tell its ID").into());
    };
    let network: &OsStr = joining.network.as_ref();
    let connect =
        [&joining.client[..], &words(&["network", "connect"]), &[network.into(), id.into()]].concat();
    if let Err(failure) = run(&connect, &[]).await {
        let remove = [&joining.client[..], &words(&["rm", "--force", "--volumes", id])].concat();
        let _ = run(&remove, &[]).await;
        return Err(failure);
    }
    let interactive: &[&str] = if joining.is_interactive { &["--interactive"] } else { &[] };
    let start = words(&[&["start", "--attach"], interactive, &[id]].concat());
    let command = [&joining.client[..], &start].concat();
    Ok(Foreground { command, joining: None, ..harness })
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn failed(message: impl Into<String>) -> Problem {
    Problem::error(Code::HarnessNotExecutable, message)
        .hint("Leave `--network` out of the harness's command: farrier then adds the session's network.")
}

/// Runs a command of the harness's client, whose errors go where the harness's would; gives what it printed.
async fn run(command: &[OsString], set: &[(String, String)]) -> Result<String, Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(String::new()) };
    let failed = |error: std::io::Error| failed(format!("cannot run the harness's client: {error}"));
    let running = Command::new(program)
        .args(arguments)
        .envs(set.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let output = running.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // It said why. `docker run` ends with 125 then.
    Err(Failure { exit: exit::REFUSED, problems: Vec::new() })
}
