//! Durations as scripts and people read them.

use std::time::Duration;

/// For scripts: milliseconds with three decimals.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// For people: milliseconds below a second, tenths of seconds above.
#[must_use]
pub fn human(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// A declared limit as people write it: `30s`, `1m 30s`.
#[must_use]
pub fn limit(duration: Duration) -> String {
    let whole = Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX));
    humantime::format_duration(whole).to_string()
}

/// An age in its largest unit: `45 s`, `12 min`, `3 h`, `9 d`.
#[must_use]
pub fn age(duration: jiff::SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
