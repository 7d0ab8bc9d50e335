//! `logs`: what a sidecar wrote.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use futures_util::StreamExt;

use super::data::print_bytes;
use super::managing::EngineSessions;
use crate::cli::options;
use crate::cli::runtime::CommandRuntime;
use crate::engine::problem::engine_problem;
use crate::engine::{EngineError, EngineErrorKind, OutputRequest, Written};
use crate::event::Reporter;
use crate::report::error::Failure;
use crate::report::escape::escape;
use crate::report::exit;

/// Prints it, to its end or to a signal.
pub fn logs(options: &options::Logs, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    CommandRuntime::start()?.block_on(async |signals| {
        tokio::select! {
            ended = copy(options, reporter) => ended.map(|()| exit::SUCCESS),
            // Whoever follows ends by Ctrl-C; there is nothing to say about it.
            signal = signals.next() => Ok(exit::SIGNALLED + signal),
        }
    })
}

async fn copy(options: &options::Logs, reporter: &Reporter) -> Result<(), Failure> {
    let sessions = EngineSessions::open(&options.layers, reporter).await?;
    let inventory = sessions.inventory().await?;
    let managed = inventory.find(&options.name)?;
    let since = if options.all_runs { String::new() } else { managed.container.log_start() };
    let request = OutputRequest { since, lines: options.tail, follow: options.follow };
    let doing = format!("read the output of `{}`", managed.container.name);
    let failed = |error| Failure::from(engine_problem(&doing, &error).of(managed.name.clone()));
    let session = sessions.of(managed);
    let logs = session.and_then(|session| session.engine.logs()).ok_or_else(|| failed(keeps_none()))?;
    let mut stream = logs.output(&managed.container.id, &request).await.map_err(failed)?;
    let escaped = (io::stdout().is_terminal(), io::stderr().is_terminal());
    while let Some(written) = stream.next().await {
        // A reader that went away is no failure.
        if forward(&written.map_err(failed)?, escaped).is_err() {
            break;
        }
    }
    Ok(())
}

fn keeps_none() -> EngineError {
    EngineError::new(EngineErrorKind::Refused, "the engine keeps no logs")
}

fn forward(written: &Written, (stdout, stderr): (bool, bool)) -> io::Result<()> {
    let shown = if written.is_error { stderr } else { stdout };
    let bytes = if shown { for_terminal(&written.bytes) } else { written.bytes.clone() };
    if written.is_error { io::stderr().lock().write_all(&bytes) } else { print_bytes(&bytes) }
}

/// A terminal must not act on what a container wrote; tabs and ends of lines stay.
pub(super) fn for_terminal(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let line = line.strip_suffix('\r').unwrap_or(line);
        shown.push_str(&line.split('\t').map(escape).collect::<Vec<_>>().join("\t"));
        shown.push_str(end);
    }
    shown.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        for (written, shown) in [
            ("plain\n", "plain\n"),
            ("a\tb\r\n", "a\tb\n"),
            ("\x1b[31mred\x07\n", "\\x1b[31mred\\x07\n"),
            ("no end", "no end"),
        ] {
            assert_eq!(for_terminal(written.as_bytes()), shown.as_bytes(), "{written:?}");
        }
    }
}
