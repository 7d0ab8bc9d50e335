//! Events with any texts in them, through every sink.

use std::time::Duration;

use super::plain::{PlainSink, Verbosity};
use super::{json, live};
use crate::event::Event;
use crate::event::record::Record;
use crate::fuzzing::{assert_json_line, assert_shown, assert_shown_in_color};

/// The event is told in lines that nothing in it forges, and programs get what was meant.
pub(crate) fn assert_event(event: &Event<'_>) {
    let line = json::line(Duration::from_millis(1), event);
    assert_json_line(&line);
    let mut read: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    for added in ["schema", "at_ms"] {
        read.as_object_mut().and_then(|read| read.remove(added));
    }
    assert_eq!(read, serde_json::to_value(Record::from(event)).unwrap_or_default());
    live::assert_lines(event);
    for color in [false, true] {
        let mut sink = PlainSink::new(Verbosity::Everything, color);
        let told = sink.text(event);
        // What is held back while the harness runs comes afterwards.
        let Some(text) = told.or_else(|| sink.text(&Event::HarnessEnded { exit_code: 0 })) else { continue };
        if color {
            assert_shown_in_color(&text);
            continue;
        }
        assert_shown(&text);
        for line in text.lines() {
            let is_own = ["farrier: ", "error[", "warning[", " ", "help: ", "--> "]
                .iter()
                .any(|own| line.starts_with(own));
            assert!(is_own || line.is_empty() || is_source(line), "{line:?} in {text:?}");
        }
        let is_one_line = !matches!(event, Event::Planned(_) | Event::Problem(_) | Event::NotReady(_));
        assert!(!is_one_line || text.lines().count() == 1, "{text:?}");
    }
}

/// A line of a file: its number stands before it.
fn is_source(line: &str) -> bool {
    line.split_once(" |").is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
}
