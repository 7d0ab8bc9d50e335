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
use crate::manage::managed::Managed;
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
    let mut chosen: Vec<&Managed> = Vec::new();
    if options.names.is_empty() {
        chosen.extend(inventory.sidecars.iter().filter(|managed| managed.sync_status.is_declared()));
        if let (true, Some(name)) = (chosen.is_empty(), inventory.absent.first()) {
            inventory.find(name)?;
        }
    }
    for name in &options.names {
        let found = inventory.find(name)?;
        if chosen.iter().all(|other| other.container.id != found.container.id) {
            chosen.push(found);
        }
    }
    let longest =
        chosen.iter().map(|managed| escape(&managed.name).chars().count()).max().unwrap_or_default();
    let mut streams = Vec::new();
    for managed in &chosen {
        let since = match options.since {
            Some(age) => inventory.now.checked_sub(age).map(|moment| moment.to_string()).unwrap_or_default(),
            None if options.all_runs => String::new(),
            None => managed.container.log_start(),
        };
        let request = OutputRequest { since, lines: options.tail, follow: options.follow };
        let failed = |error| cannot_read(managed, &error);
        let session = sessions.of(managed);
        let logs = session.and_then(|session| session.engine.logs()).ok_or_else(|| failed(keeps_none()))?;
        let stream = logs.output(&managed.container.id, &request).await.map_err(failed)?;
        let name = (chosen.len() > 1).then(|| format!("{:longest$} | ", escape(&managed.name)));
        let mut prefix = Prefix::new(name.unwrap_or_default(), options.timestamps);
        let told = stream.map(move |written| match written {
            Ok(written) => Ok(prefix.apply(written)),
            Err(error) => Err(cannot_read(managed, &error)),
        });
        streams.push(told);
    }
    let mut all = futures_util::stream::select_all(streams);
    let escaped = (io::stdout().is_terminal(), io::stderr().is_terminal());
    while let Some(written) = all.next().await {
        // A reader that went away is no failure.
        if forward(&written?, escaped).is_err() {
            break;
        }
    }
    Ok(())
}

fn cannot_read(managed: &Managed, error: &EngineError) -> Failure {
    let doing = format!("read the output of `{}`", managed.container.name);
    engine_problem(&doing, error).of(managed.name.clone()).into()
}

/// What stands before each line: whose it is, if several sidecars write, and when it was written.
struct Prefix {
    name: String,
    has_time: bool,
    /// Whether the last line on standard output, and on standard error, goes on.
    open: [bool; 2],
}

impl Prefix {
    const fn new(name: String, has_time: bool) -> Self {
        Self { name, has_time, open: [false; 2] }
    }

    fn apply(&mut self, written: Written) -> Written {
        if self.name.is_empty() && !self.has_time {
            return written;
        }
        let time = if self.has_time { format!("{:.9} ", written.at) } else { String::new() };
        let mut bytes = Vec::with_capacity(written.bytes.len() + self.name.len() + time.len());
        let open = &mut self.open[usize::from(written.is_error)];
        for line in written.bytes.split_inclusive(|byte| *byte == b'\n') {
            if !*open {
                bytes.extend_from_slice(self.name.as_bytes());
                bytes.extend_from_slice(time.as_bytes());
            }
            bytes.extend_from_slice(line);
            *open = !line.ends_with(b"\n");
        }
        Written { bytes, ..written }
    }
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
    fn each_line_says_whose_it_is_and_when_it_was_written() {
        for (name, has_time, begin) in [
            ("db | ", false, "db | "),
            ("", true, "2026-03-01T10:00:00.120000000Z "),
            ("db | ", true, "db | 2026-03-01T10:00:00.120000000Z "),
            ("", false, ""),
        ] {
            let mut prefix = Prefix::new(name.to_owned(), has_time);
            let at = "2026-03-01T10:00:00.12Z".parse().expect("a moment");
            let mut told = |bytes: &[u8], is_error| {
                let written = Written { bytes: bytes.to_vec(), is_error, at };
                String::from_utf8(prefix.apply(written).bytes).expect("text")
            };
            assert_eq!(told(b"one\ntw", false), format!("{begin}one\n{begin}tw"));
            assert_eq!(told(b"error\n", true), format!("{begin}error\n"));
            assert_eq!(told(b"o\n", false), "o\n");
        }
    }

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
