//! Panics of a guest without a standard error: the host quotes the last warning of a poll that traps.

use alloc::boxed::Box;
use alloc::string::ToString;

/// What the standard library panics with where a target has no clock. Not the whole of it: `farrier probe build` knows by
/// that text that a module may call the clock.
const NO_CLOCK: &str = "time not implemented";
/// What to do about it.
const ADVICE: &str = ": use Context::elapsed and Context::remaining, or build the probe for wasm32-wasip2";

/// Writes the text, file and line of a panic to the trace from now on.
pub fn tell() {
    std::panic::set_hook(Box::new(|panic| {
        let mut text = panic.to_string();
        if text.contains(NO_CLOCK) {
            text.push_str(ADVICE);
        }
        crate::log::warn(&text);
    }));
}
