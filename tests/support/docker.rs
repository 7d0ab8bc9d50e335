//! The `docker` command line, as a user would call it, and what to do where it does not work.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, Output, Stdio};

/// What could not be done, and what to do about it.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub message: String,
    pub next_step: String,
}

impl Trouble {
    pub fn new(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { message: message.into(), next_step: next_step.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}", self.message, self.next_step)
    }
}

/// Whether an engine answers.
pub fn available() -> Result<(), Trouble> {
    let version = run(["version", "--format", "{{.Server.Version}}"]);
    version.map(drop).map_err(|trouble| Trouble {
        next_step: "Install Docker, start its engine, and make `docker version` work for this user."
            .to_owned(),
        ..trouble
    })
}

/// Runs `docker` with these arguments; gives its stdout without the final line break.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String, Trouble> {
    let arguments: Vec<OsString> = arguments.into_iter().map(|part| part.as_ref().to_owned()).collect();
    let output = Command::new("docker").args(&arguments).stdin(Stdio::null()).output();
    finished(&arguments, output)
}

/// What a call of `docker` with these arguments gave.
pub fn finished(arguments: &[OsString], output: std::io::Result<Output>) -> Result<String, Trouble> {
    let line = arguments.join(OsStr::new(" "));
    let line = format!("docker {}", line.display());
    let output = output.map_err(|error| {
        Trouble::new(format!("cannot run `{line}`: {error}"), "Put Docker's command-line client on the PATH.")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::new(
        format!("`{line}` failed ({}): {}", output.status, words.trim()),
        "Run that command by hand; `docker info` tells whether the engine is well.",
    ))
}
