//! `--trace`: where the time went, in the trace-event form that Perfetto and `chrome://tracing` open
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::time::Duration;

use serde_json::{Value, json};

use super::{SidecarTimings, Timings};
use crate::report::escape::escape_json;

/// All lines belong to one process.
const PROCESS: u32 = 1;

/// The trace of a launch at this moment: a line for each sidecar, and one for the launch itself.
#[must_use]
pub fn trace(timings: &Timings, now: Duration) -> String {
    let end = timings.all_ready.unwrap_or(now);
    let mut events = vec![
        json!({ "name": "process_name", "ph": "M", "pid": PROCESS, "args": { "name": "farrier" } }),
        named(0, "launch"),
    ];
    let own = [
        ("connect", Duration::ZERO, timings.connected),
        ("look", timings.connected.unwrap_or_default(), timings.planned),
    ];
    events.extend(own.into_iter().filter_map(|(name, from, to)| Some(span(0, name, from, to?, &json!({})))));
    if let Some(all) = timings.all_ready {
        events.push(moment(0, "all ready", all, &json!({})));
    }
    let critical = timings.critical_path();
    for (sidecar, line) in timings.sidecars.iter().zip(1..) {
        events.extend(of_sidecar(sidecar, line, end, critical.contains(&sidecar)));
    }
    let trace = json!({ "traceEvents": events, "displayTimeUnit": "ms" });
    escape_json(&format!("{trace:#}\n"))
}

fn of_sidecar(sidecar: &SidecarTimings, line: usize, end: Duration, is_critical: bool) -> Vec<Value> {
    let mut events = vec![named(line, &sidecar.name)];
    let about = json!({ "action": sidecar.action, "critical": is_critical });
    for part in sidecar.spans(end) {
        events.push(span(line, part.phase.word(), part.from, part.to, &about));
    }
    for answer in &sidecar.answers {
        let args = json!({ "probe": answer.probe, "answer": answer.text });
        events.push(moment(line, "answer", answer.at, &args));
    }
    if let (Some(failure), Some(at)) = (&sidecar.failure, sidecar.failed) {
        events.push(moment(line, "not ready", at, &json!({ "reason": failure })));
    }
    events
}

fn named(line: usize, name: &str) -> Value {
    json!({ "name": "thread_name", "ph": "M", "pid": PROCESS, "tid": line, "args": { "name": name } })
}

fn span(line: usize, name: &str, from: Duration, to: Duration, args: &Value) -> Value {
    // Both ends are rounded alike, so that a span within another one stays within it.
    let begin = microseconds(from);
    let length = microseconds(to).saturating_sub(begin);
    json!({ "name": name, "cat": "start", "ph": "X", "ts": begin, "dur": length, "pid": PROCESS, "tid": line, "args": args })
}

fn moment(line: usize, name: &str, at: Duration, args: &Value) -> Value {
    json!({ "name": name, "ph": "i", "s": "t", "ts": microseconds(at), "pid": PROCESS, "tid": line, "args": args })
}

fn microseconds(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}
