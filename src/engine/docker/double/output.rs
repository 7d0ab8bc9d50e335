//! What containers write: kept, and read by whoever asks, to the end or as it comes.

use futures_util::stream::{self, Stream};

use super::Double;
use super::image::Run;
use super::nonsense::{Garbled, Nonsense};
use super::world::World;
use crate::engine::{EngineResult, OutputRequest, Written};

/// One line and when it was written.
pub(super) struct Line {
    time: i64,
    written: Written,
}

/// How far somebody read.
pub(super) struct Reader {
    container: String,
    next: usize,
    since: i128,
    follow: bool,
}

impl Garbled for Reader {
    fn garble(&mut self, _: Nonsense) {
        self.next = usize::MAX;
    }
}

/// What a reader finds next.
enum Found {
    Line(Written),
    Nothing,
    End,
}

fn nanoseconds(since: &str) -> i128 {
    since.parse::<jiff::Timestamp>().unwrap_or_default().as_nanosecond()
}

impl World {
    pub(super) fn write_log(&mut self, id: &str, run: &Run) {
        for (is_error, bytes) in [(false, &run.stdout), (true, &run.stderr)] {
            for line in String::from_utf8_lossy(bytes).lines() {
                self.write_line(id, line, is_error);
            }
        }
    }

    /// Lets a container write a line.
    pub fn log(&mut self, name: &str, line: &str) {
        self.write_line(name, line, false);
    }

    fn write_line(&mut self, name: &str, line: &str, is_error: bool) {
        let time = self.now();
        if let Ok(kept) = self.find_mut(name) {
            let at = jiff::Timestamp::from_nanosecond(time.into()).unwrap_or_default();
            let written = Written { is_error, at, bytes: format!("{line}\n").into_bytes() };
            kept.log.push(Line { time, written });
        }
    }

    /// The newest lines since a moment.
    pub fn logs(&mut self, name: &str, since: &str, lines: usize) -> EngineResult<Vec<String>> {
        let since = nanoseconds(since);
        let kept = self.find_mut(name)?;
        let newest = kept.log.len().saturating_sub(lines);
        let found = kept.log.iter().skip(newest).filter(|line| i128::from(line.time) >= since);
        let text =
            |line: &Line| String::from_utf8_lossy(&line.written.bytes).trim_end_matches('\n').to_owned();
        Ok(found.map(text).collect())
    }

    pub(super) fn reader(&mut self, name: &str, request: &OutputRequest) -> EngineResult<Reader> {
        let kept = self.find_mut(name)?;
        let next = request.lines.map_or(0, |lines| kept.log.len().saturating_sub(lines));
        Ok(Reader {
            container: kept.container.id.clone(),
            next,
            since: nanoseconds(&request.since),
            follow: request.follow,
        })
    }

    fn read(&mut self, reader: &mut Reader) -> Found {
        let Ok(kept) = self.find_mut(&reader.container) else { return Found::End };
        while let Some(line) = kept.log.get(reader.next) {
            reader.next += 1;
            if i128::from(line.time) >= reader.since {
                return Found::Line(line.written.clone());
            }
        }
        if reader.follow && kept.is_up() { Found::Nothing } else { Found::End }
    }
}

/// Reads on, waiting for the next line where it follows.
pub(super) fn stream(engine: Double, reader: Reader) -> impl Stream<Item = EngineResult<Written>> {
    stream::unfold((engine, reader), async |(engine, mut reader)| {
        let mut revision = engine.shared.revision.subscribe();
        loop {
            match engine.change_quietly(|world| world.read(&mut reader)) {
                Found::Line(written) => return Some((Ok(written), (engine, reader))),
                Found::End => return None,
                // The sender lives as long as the engine.
                Found::Nothing => drop(revision.changed().await),
            }
        }
    })
}
