//! The way to an engine through the user's own `ssh`, with its configuration, agent, jump hosts and master connections:
//! one `ssh` forwards a socket of this host's to the engine's for as long as farrier runs, and is started again if it
//! ends.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::engine::{EngineError, EngineErrorKind, EngineResult};

/// Where Docker listens on its host.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// How long the host may take to let somebody in: as long as for docker's client.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long `ssh` may take to end after its host closed the connection.
const ENDING: Duration = Duration::from_secs(2);
/// How long a master connection may take to end a forwarding, and the pause between two looks at that.
const CANCELLING: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(5);
/// Lines of what `ssh` says that are kept.
const KEPT: usize = 8;
/// Runs on the host: says that the way is open, and ends with farrier.
const COMMAND: &str = "echo open; exec cat";

/// Where an address of SSH leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: String,
    identity: Option<PathBuf>,
}

impl Destination {
    /// Reads `ssh://[USER@]HOST[:PORT][/SOCKET]`.
    fn parse(address: &str, identity: Option<PathBuf>) -> Result<Self, String> {
        let rest = address.strip_prefix("ssh://").unwrap_or(address);
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (user, place) =
            authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        if user.is_some_and(|user| user.contains(':')) {
            return Err("has a password, which ssh does not take".to_owned());
        }
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, behind)) => (host, behind.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port =
            port.map(|port| port.parse::<u16>().map_err(|_| format!("has the port `{port}`"))).transpose()?;
        if host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
            return Err("names no host".to_owned());
        }
        let socket = if path.len() > 1 { path } else { DEFAULT_SOCKET };
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: socket.to_owned(),
            identity,
        })
    }

    /// The arguments of `ssh` that forward this socket, or make a master connection end that.
    fn arguments(&self, local: &Path, ends: bool) -> Vec<OsString> {
        let mut forward = OsString::from("-L");
        forward.push(local);
        forward.push(":");
        forward.push(&self.socket);
        // It asks nobody anything, becomes nobody's master, and does not mind that others forward what the
        // configuration says, too.
        let options = [
            "BatchMode=yes",
            "ControlMaster=no",
            "ExitOnForwardFailure=no",
            "RemoteCommand=none",
            "StreamLocalBindMask=0177",
            "ConnectTimeout=30",
            // A connection that is dead without a word, as after a change of address, ends after 15 s.
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ];
        let mut arguments: Vec<OsString> =
            options.iter().flat_map(|option| ["-o", option]).map(OsString::from).collect();
        arguments.extend(["-T".into(), forward]);
        arguments.extend(self.port.iter().flat_map(|port| ["-p".into(), OsString::from(port.to_string())]));
        arguments.extend(self.user.iter().flat_map(|user| ["-l".into(), OsString::from(user)]));
        arguments.extend(self.identity.iter().flat_map(|file| ["-i".into(), file.clone().into_os_string()]));
        if ends {
            arguments.extend(["-O".into(), "cancel".into(), "--".into(), OsString::from(&self.host)]);
        } else {
            arguments.extend(["--".into(), OsString::from(&self.host), COMMAND.into()]);
        }
        arguments
    }
}

/// A way that is opened when it is first used.
pub(super) struct Tunnel {
    destination: Destination,
    open: tokio::sync::Mutex<Option<Forwarding>>,
    said: Arc<Mutex<VecDeque<String>>>,
}

/// An `ssh` that forwards. Dropping it ends it.
struct Forwarding {
    ssh: Child,
    socket: PathBuf,
    /// What makes a master connection that existed before end the forwarding.
    cancel: Vec<OsString>,
    _folder: TempDir,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let nothing = Stdio::null;
        let cancelling = std::process::Command::new("ssh")
            .args(&self.cancel)
            .stdin(nothing())
            .stdout(nothing())
            .stderr(nothing())
            .spawn();
        match cancelling {
            Ok(child) => end_soon(child),
            Err(error) => tracing::debug!("ssh cannot end the forwarding: {error}"),
        }
    }
}

/// Waits for a child, for a moment: a master connection that is stopped would never answer.
fn end_soon(mut child: std::process::Child) {
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if begun.elapsed() > CANCELLING {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(LOOK);
    }
}

impl Tunnel {
    /// For an address, and the key that Podman's connection names.
    ///
    /// # Errors
    /// If it is no address.
    pub(super) fn new(address: &str, identity: Option<PathBuf>) -> EngineResult<Self> {
        let destination = Destination::parse(address, identity).map_err(|what| {
            let message = format!("the address of the engine {what}");
            EngineError {
                hints: vec!["Write it as `ssh://USER@HOST`, with `:PORT` and `/PATH/OF/THE/SOCKET` if they are not the usual ones."],
                ..EngineError::new(EngineErrorKind::Unreachable, message)
            }
        })?;
        Ok(Self { destination, open: tokio::sync::Mutex::default(), said: Arc::default() })
    }

    /// A connection to the engine.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let mut open = self.open.lock().await;
        if let Some(forwarding) = open.as_mut()
            && forwarding.ssh.try_wait()?.is_none()
            && let Ok(stream) = UnixStream::connect(&forwarding.socket).await
        {
            return Ok(stream);
        }
        *open = None;
        let forwarding = self.forward().await?;
        let stream = UnixStream::connect(&forwarding.socket).await?;
        *open = Some(forwarding);
        Ok(stream)
    }

    /// What `ssh` said last; `None` if it said nothing.
    pub(super) fn last_words(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.back().map(|line| if line.starts_with("ssh: ") { line.clone() } else { format!("ssh: {line}") })
    }

    async fn forward(&self) -> io::Result<Forwarding> {
        let folder = tempfile::Builder::new().prefix("farrier-ssh-").tempdir()?;
        let socket = folder.path().join("engine");
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut ssh = Command::new("ssh")
            .args(self.destination.arguments(&socket, false))
            // The terminal's signals are for farrier, and for its harness.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot run `ssh`: {error}")))?;
        let listening = ssh.stderr.take().map(|output| tokio::spawn(listen(output, Arc::clone(&self.said))));
        let mut opened = [0; 1];
        let answer = match ssh.stdout.as_mut() {
            Some(output) => tokio::time::timeout(CONNECTING, output.read_exact(&mut opened)).await,
            None => Ok(Ok(0)),
        };
        if matches!(answer, Ok(Ok(_))) {
            // Nothing of what it said so far is about what breaks later.
            self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let cancel = self.destination.arguments(&socket, true);
            return Ok(Forwarding { ssh, socket, cancel, _folder: folder });
        }
        let host = &self.destination.host;
        if answer.is_err() {
            let message = format!("ssh: {host} does not answer within {} s", CONNECTING.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        if let Some(listening) = listening {
            // It says why before it ends.
            let _ = tokio::time::timeout(ENDING, listening).await;
        }
        let silent = || format!("ssh: the connection to {host} ended");
        Err(io::Error::other(self.last_words().unwrap_or_else(silent)))
    }
}

/// Keeps the last lines that are said.
async fn listen(output: impl AsyncRead + Unpin, said: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(output.take(1 << 20)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == KEPT {
            said.pop_front();
        }
        said.push_back(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let read = |address: &str| {
            Destination::parse(address, None).map(|found| {
                let arguments = found.arguments(Path::new("/l"), false);
                let own: Vec<String> =
                    arguments.iter().skip(17).map(|word| word.to_string_lossy().into_owned()).collect();
                own.join(" ")
            })
        };
        for (address, expected) in [
            ("ssh://h", Ok("-L/l:/var/run/docker.sock -- h")),
            ("ssh://me@h:22/", Ok("-L/l:/var/run/docker.sock -p 22 -l me -- h")),
            ("ssh://me@h/run/user/1/docker.sock", Ok("-L/l:/run/user/1/docker.sock -l me -- h")),
            ("ssh://[::1]:2222", Ok("-L/l:/var/run/docker.sock -p 2222 -- ::1")),
            ("ssh://me:secret@h", Err("has a password, which ssh does not take")),
            ("ssh://h:x", Err("has the port `x`")),
            ("ssh://", Err("names no host")),
            ("ssh://-oProxyCommand=x", Err("names no host")),
            ("ssh://-l@h", Err("names no host")),
        ] {
            let expected = expected.map(|words| format!("{words} {COMMAND}")).map_err(str::to_owned);
            assert_eq!(read(address), expected, "{address}");
        }
    }
}
