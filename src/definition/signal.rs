//! Names of signals as docker takes them.

use std::str::FromStr;

use nix::sys::signal::Signal;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The first real-time signal as docker counts them (`moby/sys/signal`), whatever the C library keeps for itself.
const FIRST_REAL_TIME: u32 = 34;
/// The last one.
const LAST_REAL_TIME: u32 = 64;

/// One name for each signal: `15`, `term` and `SIGTERM` are `SIGTERM`. `None` if docker knows no such signal.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let upper = text.trim().to_uppercase();
    if let Ok(number) = upper.parse::<u32>() {
        return by_number(number);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return by_number(number);
    }
    // Other names for the same number.
    let name = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal.as_str().to_owned())
}

fn by_number(number: u32) -> Option<String> {
    if (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&number) {
        return Some(match number - FIRST_REAL_TIME {
            0 => "SIGRTMIN".to_owned(),
            above => format!("SIGRTMIN+{above}"),
        });
    }
    let signal = Signal::try_from(i32::try_from(number).ok()?).ok()?;
    Some(signal.as_str().to_owned())
}

/// The number of `RTMIN`, `RTMIN+3`, `RTMAX-2`, `RTMAX`.
fn real_time(name: &str) -> Option<u32> {
    let steps = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u32>().ok(),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        FIRST_REAL_TIME.checked_add(steps(rest, '+')?)?
    } else {
        LAST_REAL_TIME.checked_sub(steps(name.strip_prefix("RTMAX")?, '-')?)?
    };
    (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&number).then_some(number)
}

/// What editors accept as a signal.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "type": "integer", "minimum": 1, "maximum": 64 },
            { "type": "string", "pattern": "^[0-9A-Za-z+-]+$" },
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_signal() {
        for (text, expected) in [
            ("SIGTERM", Some("SIGTERM")),
            ("term", Some("SIGTERM")),
            ("15", Some("SIGTERM")),
            ("SIGPOLL", Some("SIGIO")),
            ("SIGRTMIN+3", Some("SIGRTMIN+3")),
            ("37", Some("SIGRTMIN+3")),
            ("RTMAX-27", Some("SIGRTMIN+3")),
            ("SIGRTMIN", Some("SIGRTMIN")),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN-1", None),
            ("0", None),
            ("65", None),
            ("32", None),
            ("-15", None),
            ("SIGNOTHING", None),
            ("", None),
        ] {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }
}
