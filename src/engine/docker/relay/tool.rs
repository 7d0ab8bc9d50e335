//! A relay that runs a tool of the image's: one execution a dial.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::JoinHandle;

use super::{Helper, gone, helper};
use crate::engine::dialler::{ByteStream, DialError, Dialler};
use crate::engine::docker::api::{Api, ContainerSpec};
use crate::engine::limited::within;
use crate::engine::{Attached, EngineError, EngineErrorKind, EngineResult, ExecRequest};

/// How long finding out whether an image has a tool may take.
const TRIAL: Duration = Duration::from_secs(10);
/// What a tool's dial adds to the wait for its execution to begin.
const TOOL_START: Duration = Duration::from_secs(2);

/// A tool of the image's: one execution a dial.
pub(super) struct ToolRelay {
    api: Arc<dyn Api>,
    helper: Helper,
    tool: Tool,
    /// Keeps the helper alive.
    _input: Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Over when the helper is.
    listening: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
enum Tool {
    Python,
    Netcat,
    Bash,
}

/// What a tool writes first, once it has connected.
const SIGN: &[u8; 1] = b"+";

/// Connects, gives the sign, and copies both ways until either side ends.
const PYTHON: &str = "\
import socket,sys,threading,os
s=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))
s.settimeout(None)
os.write(1,b'+')
def up():
    while True:
        b=os.read(0,16384)
        if not b: os._exit(0)
        s.sendall(b)
threading.Thread(target=up,daemon=True).start()
while True:
    b=s.recv(16384)
    if not b: break
    os.write(1,b)
";
/// The same. An execution is a session of its own, so that `kill 0` ends only it.
const BASH: &str =
    "exec 3<>/dev/tcp/$0/$1 4<&0 || exit 1; printf +; { cat <&4 >&3; kill 0; } & cat <&3; kill 0";
/// The same, with a connection of its own to see that there is one. The nc of `BusyBox` knows no `-z`, but runs a program
/// once it is connected. (Its cat is no way out: it may keep the end of what a socket says to itself.)
const NETCAT: &str = "case \"$(nc -h 2>&1)\" in \
    *-z*) nc -z -w \"$2\" \"$0\" \"$1\";; *) nc -w \"$2\" \"$0\" \"$1\" -e true;; esac || exit 1; \
    printf +; exec nc \"$0\" \"$1\"";

impl Tool {
    const ALL: [Self; 3] = [Self::Python, Self::Netcat, Self::Bash];

    /// A main process that ends when standard input closes.
    const fn keeper(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "-c", "import sys; sys.stdin.read()"],
            Self::Netcat => &["sh", "-c", "cat >/dev/null"],
            Self::Bash => &["bash", "-c", "cat >/dev/null"],
        }
    }

    /// Fails at once where the tool is not in the image.
    const fn trial(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "-c", ""],
            Self::Netcat => &["sh", "-c", "command -v nc"],
            Self::Bash => &["bash", "-c", "command -v cat"],
        }
    }

    fn dial(self, address: SocketAddr, timeout: Duration) -> Vec<String> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let seconds = format!("{:.3}", timeout.as_secs_f64());
        let whole = timeout.as_secs().max(1).to_string();
        let arguments: Vec<&str> = match self {
            Self::Python => vec!["python3", "-c", PYTHON, &host, &port, &seconds],
            Self::Netcat => vec!["sh", "-c", NETCAT, &host, &port, &whole],
            Self::Bash => vec!["bash", "-c", BASH, &host, &port],
        };
        arguments.into_iter().map(str::to_owned).collect()
    }
}

/// Makes a helper that this process keeps alive: nobody else would end one that runs before somebody is attached.
async fn run(api: &Arc<dyn Api>, spec: &ContainerSpec) -> EngineResult<(Helper, Attached)> {
    let mut helper = Helper::of(api, spec);
    let id = api.create(spec).await?;
    let attached = helper.begin(async {
        let attached = api.attach(&id).await?;
        api.start(&id).await?;
        Ok(attached)
    });
    let attached = attached.await?;
    Ok((helper, attached))
}

/// Starts the first tool of this image's that works.
pub(super) async fn start(api: &Arc<dyn Api>, network: &str, image: &str) -> EngineResult<ToolRelay> {
    let mut last = None;
    for tool in Tool::ALL {
        let spec = helper(network, image, tool.keeper());
        match run(api, &spec).await {
            Err(error) if error.kind.is_of_the_connection() => return Err(error),
            Err(error) => last = Some(error),
            Ok((helper, attached)) => {
                let arguments = tool.trial().iter().map(|&argument| argument.to_owned()).collect();
                let request = ExecRequest { arguments, output_limit: 1024 };
                match within(TRIAL, api.exec(&helper.name, &request)).await {
                    Ok(output) if output.exit_code == 0 => {
                        return Ok(ToolRelay::of(api, helper, tool, attached));
                    }
                    tried => {
                        helper.end().await;
                        match tried {
                            Err(error) if error.kind.is_of_the_connection() => return Err(error),
                            tried => last = tried.err().or(last),
                        }
                    }
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        EngineError::new(EngineErrorKind::Refused, format!("{image} has no python3, nc or bash"))
    }))
}

impl ToolRelay {
    fn of(api: &Arc<dyn Api>, helper: Helper, tool: Tool, attached: Attached) -> Self {
        let Attached { input, mut output } = attached;
        let listening = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
        });
        Self { api: Arc::clone(api), helper, tool, _input: Mutex::new(input), listening }
    }
}

/// Waits for the sign that the tool has connected. Only the tool gives it: Docker writes to the same stream why it could not
/// run the tool, for example in a container that is being removed.
async fn connected(output: &mut (impl AsyncRead + Unpin)) -> Result<(), DialError> {
    let mut first = [0_u8; 1];
    match output.read_exact(&mut first).await {
        Ok(_) if first == *SIGN => Ok(()),
        Ok(_) => Err(gone()),
        // The tools tell no reasons apart: their end without the sign is a refusal.
        Err(_) => Err(DialError::Refused),
    }
}

#[async_trait]
impl Dialler for ToolRelay {
    async fn end(&self) {
        self.helper.end().await;
    }

    async fn connect(
        &self,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Box<dyn ByteStream>, DialError> {
        let arguments = self.tool.dial(address, timeout);
        let dial = async {
            let attached = self.api.exec_attached(&self.helper.name, &arguments).await;
            let mut attached = attached.map_err(|error| match error.kind {
                EngineErrorKind::NotFound | EngineErrorKind::Conflict => gone(),
                _ => DialError::Other(error.message),
            })?;
            connected(&mut attached.output).await.map(|()| attached)
        };
        match tokio::time::timeout(timeout + TOOL_START, dial).await {
            Ok(Ok(attached)) => Ok(Box::new(tokio::io::join(attached.output, attached.input))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::TimedOut),
        }
    }

    fn has_ended(&self) -> bool {
        self.listening.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_tools_own_sign_means_that_it_has_connected() {
        let refused = Err(DialError::Refused);
        let of_the_engine =
            "OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown\r\n";
        for (output, wanted) in [
            ("+", Ok(())),
            ("+220 ready", Ok(())),
            ("", refused),
            (of_the_engine, Err(gone())),
            ("bash: connect: Connection refused", Err(gone())),
        ] {
            assert_eq!(connected(&mut output.as_bytes()).await, wanted, "{output:?}");
        }
    }
}
