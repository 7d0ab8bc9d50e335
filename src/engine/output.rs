//! What containers and executed commands write.

use std::pin::Pin;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

/// Which of the lines that a container wrote are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputRequest {
    /// Those since this moment (RFC 3339); all where it is empty.
    pub since: String,
    /// Of what was written so far, no more than the newest so many.
    pub lines: Option<usize>,
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
}

/// What a container wrote at once: mostly a line with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether it went to standard error.
    pub is_error: bool,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// As it was written.
    pub bytes: Vec<u8>,
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The arguments, the program first.
    pub arguments: Vec<String>,
    /// Bytes of each stream that are kept.
    pub output_limit: usize,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub exit_code: i64,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether either was cut.
    pub truncated: bool,
}

/// Both ends of an attached process.
pub struct Attached {
    /// Its standard input; dropping it closes it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its standard output.
    pub output: Pin<Box<dyn AsyncRead + Send>>,
}

/// How far a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes received of all layers known so far.
    pub current: u64,
    /// Their size.
    pub total: u64,
}
