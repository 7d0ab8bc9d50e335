//! Images, and what their programs do.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::ExecOutput;
use crate::engine::docker::api::Image;
use crate::system::blocking::blocking;

/// How a process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Not by itself.
    Never,
    /// With this exit code.
    Exit(i64),
    /// The kernel kills it for memory.
    OutOfMemory,
    /// It copies its input to its output, and ends when that is closed.
    Copies,
    /// It cannot be run; the engine says why.
    CannotRun(String),
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Written to standard output at once.
    pub stdout: Vec<u8>,
    /// Written to standard error at once.
    pub stderr: Vec<u8>,
    /// How long it takes to end; of no meaning where it never does.
    pub after: Duration,
    /// How it ends.
    pub end: End,
}

impl Run {
    /// Ends in this way, at once and without a word.
    #[must_use]
    pub fn ending(end: End) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), after: Duration::ZERO, end }
    }

    /// Ends at once with this code.
    #[must_use]
    pub fn exit(code: i64) -> Self {
        Self::ending(End::Exit(code))
    }

    /// Goes on for ever.
    #[must_use]
    pub fn forever() -> Self {
        Self::ending(End::Never)
    }

    /// Writes this to standard output.
    #[must_use]
    pub fn says(self, text: &str) -> Self {
        Self { stdout: text.as_bytes().to_vec(), ..self }
    }

    /// Takes this long.
    #[must_use]
    pub fn takes(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same as the output of a command that was waited for.
    pub(super) fn output(self, exit_code: i64, limit: usize) -> ExecOutput {
        let truncated = self.stdout.len() > limit || self.stderr.len() > limit;
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(limit);
            bytes
        };
        ExecOutput { exit_code, stdout: cut(self.stdout), stderr: cut(self.stderr), truncated }
    }
}

type Behaviour = dyn Fn(&[String]) -> Run + Send + Sync;

/// A command in a container.
pub(super) enum Execution {
    /// What it does.
    Ran(Run),
    /// It takes as long as a real one.
    Real(Arc<Behaviour>),
}

impl Execution {
    /// What it does. Nobody waits for a real one that is given up.
    pub async fn run(self, arguments: &[String]) -> Run {
        match self {
            Self::Ran(run) => run,
            Self::Real(behaviour) => {
                let arguments = arguments.to_vec();
                let ran = blocking("command", move || behaviour(&arguments)).await;
                ran.unwrap_or_else(|error| Run::ending(End::CannotRun(error.to_string())))
            }
        }
    }
}

/// An image with its programs.
#[derive(Clone)]
pub struct DoubleImage {
    /// What the engine tells of it; the id is given when it is added.
    pub image: Image,
    /// Its labels, which its containers inherit.
    pub labels: BTreeMap<String, String>,
    /// The addresses that a container of it has after each start; the last one stays.
    pub addresses: Vec<IpAddr>,
    behaviour: Arc<Behaviour>,
    has_real_commands: bool,
}

impl Default for DoubleImage {
    fn default() -> Self {
        Self::new(|_| Run::forever())
    }
}

impl fmt::Debug for DoubleImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DoubleImage").field("image", &self.image).finish_non_exhaustive()
    }
}

impl DoubleImage {
    /// An image where every argument list, of a container or of a command in it, does what this says.
    pub fn new(program: impl Fn(&[String]) -> Run + Send + Sync + 'static) -> Self {
        Self {
            image: Image { architecture: "amd64".to_owned(), ..Image::default() },
            labels: BTreeMap::new(),
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            behaviour: Arc::new(program),
            has_real_commands: false,
        }
    }

    /// Lets commands take as long as real ones, on a thread of their own.
    #[must_use]
    pub fn with_real_commands(mut self) -> Self {
        self.has_real_commands = true;
        self
    }

    /// What this argument list does.
    #[must_use]
    pub fn run(&self, arguments: &[String]) -> Run {
        (self.behaviour)(arguments)
    }

    pub(super) fn execution(&self, arguments: &[String]) -> Execution {
        if self.has_real_commands {
            return Execution::Real(Arc::clone(&self.behaviour));
        }
        Execution::Ran(self.run(arguments))
    }

    /// The address after so many starts before.
    pub(super) fn address(&self, starts: usize) -> Option<IpAddr> {
        self.addresses.get(starts).or(self.addresses.last()).copied()
    }
}
