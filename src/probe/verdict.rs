//! What a poll comes to: what the guest said, what farrier itself knows of the poll, and how a guest that broke did so.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use super::engines::NoThread;
use super::guest::Verdict;
use super::limits::{HOSTCALL_FUEL, LAUNCH_MEMORY, REASON_CHARACTERS, TRACE_LINES};
use super::native_code::Limited;
use super::store::{HostState, Level};
use crate::definition::model::Limits;
use crate::engine::dialler::Sockets;
use crate::system::process_limits;

/// Why a guest's own sockets lead nowhere.
const SOCKETS_RELAYED: &str = "it uses its own sockets (wasi:sockets), but this host has no route to the sidecars, \
                               and farrier does not dial them: see the warning `cannot-dial`";

/// What stands for it while a scenario is played.
const SOCKETS_PLAYED: &str = "it uses its own sockets (wasi:sockets), but a scenario plays only what the interface `dial` of \
                              farrier:probe reaches";

/// What wasmtime says of a call that passed more than [`HOSTCALL_FUEL`].
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// Lines of a guest's standard error that are quoted when it crashes: Python's reason is the last but two.
const LAST_WORDS: usize = 3;

/// A verdict with its texts as one line each, however long and in how many lines the guest wrote them.
pub fn cleaned(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Pending { reason, retry_after, extend } => {
            Verdict::Pending { reason: one_line(&reason), retry_after, extend }
        }
        Verdict::Failed(reason) => Verdict::Failed(one_line(&reason)),
        other => other,
    }
}

/// What farrier itself knows of a poll that is not ready: waiting does not mend a socket that leads nowhere or a missing
/// grant, and a launch whose memory is used up is nobody's answer.
pub fn judged(verdict: Verdict, state: &HostState) -> Verdict {
    if verdict == Verdict::Ready {
        return verdict;
    }
    if state.traces.socket_refused.load(Ordering::Relaxed) {
        let is_played = state.probe_context.sockets == Sockets::Played;
        let reason = if is_played { SOCKETS_PLAYED } else { SOCKETS_RELAYED };
        return Verdict::Failed(reason.to_owned());
    }
    if state.limiter.launch_exhausted {
        let reason = format!(
            "no memory is left for this poll: the probes of this launch hold {} MiB together, which is their limit",
            LAUNCH_MEMORY >> 20
        );
        return Verdict::Pending { reason, retry_after: None, extend: None };
    }
    match (verdict, &state.poll.observed.not_granted) {
        (Verdict::Pending { .. } | Verdict::TimedOut, Some(what)) => Verdict::Failed(what.clone()),
        (verdict, _) => verdict,
    }
}

/// What it wrote to the trace, and printed.
pub fn trace_lines(state: &HostState) -> Vec<String> {
    let written = state.trace.iter().map(|(level, line)| format!("{}: {}", level.word(), one_line(line)));
    let mut lines: Vec<String> = written.collect();
    for (name, output) in [("stdout", &state.traces.stdout), ("stderr", &state.traces.stderr)] {
        let text = output.text();
        let room = TRACE_LINES.saturating_sub(lines.len());
        let printed = text.lines().filter(|line| !line.trim().is_empty()).take(room);
        lines.extend(printed.map(|line| format!("{name}: {}", one_line(line))));
    }
    let denied = state.traces.socket_denied.lock().unwrap_or_else(PoisonError::into_inner);
    lines.extend(denied.iter().map(|what| one_line(&format!("denied: {what}, which is not granted"))));
    lines
}

pub fn one_line(text: &str) -> String {
    let kept: String = text.chars().take(REASON_CHARACTERS).collect();
    kept.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Which limit on this process an error is about; `None` if it is about none.
pub fn limit_in(error: &wasmtime::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(thread) = cause.downcast_ref::<NoThread>() {
            return Some(thread.to_string());
        }
        if let Some(Limited(limit)) = cause.downcast_ref() {
            return Some(limit.clone());
        }
        let errno = cause.downcast_ref::<Errno>().map(|errno| io::Error::from(*errno));
        process_limits::reason(errno.as_ref().or_else(|| cause.downcast_ref())?)
    })
}

pub fn crash(error: &wasmtime::Error, store: &Store<HostState>, limits: Limits) -> Verdict {
    if store.data().limiter.exhausted {
        return Verdict::Crashed(format!(
            "it needed more memory than its limit of {} MiB",
            limits.memory >> 20
        ));
    }
    // Not the probe's fault, and the next poll may have more.
    if let Some(reason) = limit_in(error) {
        return Verdict::Pending { reason, retry_after: None, extend: None };
    }
    // Where a language's runtime says why it gave up; Rust's then advises to set a variable. A guest without a standard
    // error has its last warning, which is where the SDK writes a panic.
    let stderr = store.data().traces.stderr.text();
    let said = |line: &&str| !line.is_empty() && !line.starts_with("note: ");
    let mut last_words: Vec<&str> =
        stderr.lines().rev().map(str::trim).filter(said).take(LAST_WORDS).collect();
    last_words.reverse();
    if let (true, Some((Level::Warn, line))) = (last_words.is_empty(), store.data().trace.last()) {
        last_words.push(line);
    }
    let why = |what: String| {
        let words =
            if last_words.is_empty() { String::new() } else { format!(": {}", last_words.join(" / ")) };
        Verdict::Crashed(one_line(&format!("{what}{words}")))
    };
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return why(format!("it exited with code {}", exit.0));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Verdict::TimedOut,
        Some(trap) => why(format!("it trapped: {}", one_line(&trap.to_string()))),
        None => match error.root_cause().to_string() {
            text if text.contains(FUEL_EXHAUSTED) => why(format!(
                "too much data went to or from the host in one call: more than {} MiB",
                HOSTCALL_FUEL >> 20
            )),
            text => why(one_line(&text)),
        },
    }
}
