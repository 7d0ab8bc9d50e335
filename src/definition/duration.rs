//! Durations as people write them.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

/// No wait in a definition makes sense beyond a day; larger values are typing errors.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads `30` (seconds), `1.5`, `500ms`, `2m`, `1h`, and compound forms such as `1m 30s`.
///
/// The first four are the Python launcher's forms: digits, an optional fraction, an optional unit of `ms`,
/// `s`, `m` or `h`, and nothing else; compound forms are `humantime`'s.
///
/// # Errors
/// One clause that says why the text is not a duration above zero and of at most 24 hours.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let duration = match simple(text) {
        Some(seconds) => from_seconds(seconds)?,
        // Without a leading digit humantime's own answers are about its grammar, not about the mistake.
        None if !text.starts_with(|first: char| first.is_ascii_digit()) => {
            return Err("it is not a number with a unit".to_owned());
        }
        // humantime 2.4 panics where parts come to just beyond what a duration holds.
        None if parts(text).into_iter().any(is_too_long) => {
            return Err("it is longer than 24 hours".to_owned());
        }
        None => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    checked(duration)
}

/// Checks a bare number of seconds.
///
/// # Errors
/// One clause that says why it is not a duration above zero and of at most 24 hours.
pub fn parse_seconds(seconds: f64) -> Result<Duration, String> {
    checked(from_seconds(seconds)?)
}

fn from_seconds(seconds: f64) -> Result<Duration, String> {
    if seconds.is_nan() {
        return Err("it is not a number".to_owned());
    }
    if seconds <= 0.0 {
        return Err("it must be more than zero".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "it is longer than 24 hours".to_owned())
}

fn checked(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() {
        Err("it must be more than zero".to_owned())
    } else if duration > LONGEST {
        Err("it is longer than 24 hours".to_owned())
    } else {
        Ok(duration)
    }
}

/// The parts of a compound form, each a number with its unit: one begins where a digit follows a letter.
fn parts(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut last = ' ';
    for (at, character) in text.char_indices().filter(|(_, character)| !character.is_whitespace()) {
        if character.is_ascii_digit() && last.is_alphabetic() {
            starts.push(at);
        }
        last = character;
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| text.get(*start..end)).collect()
}

fn is_too_long(part: &str) -> bool {
    humantime::parse_duration(part).is_ok_and(|duration| duration > LONGEST)
}

/// Digits, an optional fraction, an optional unit; in seconds.
fn simple(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let well_formed = match number.split_once('.') {
        Some((whole, fraction)) => !whole.is_empty() && !fraction.is_empty() && !fraction.contains('.'),
        None => !number.is_empty(),
    };
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    well_formed.then(|| number.parse::<f64>().ok().map(|value| value * factor))?
}

/// What editors accept as a duration.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "type": "number", "exclusiveMinimum": 0, "maximum": 86400 },
            { "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*[a-z]*(\\s*[0-9]+\\s*[a-z]+)*\\s*$" },
        ]
    })
}

/// What editors accept as a duration that may also be 0.
pub fn interval_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "type": "number", "minimum": 0, "maximum": 86400 },
            { "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*[a-z]*(\\s*[0-9]+\\s*[a-z]+)*\\s*$" },
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("1.5", 1500),
            (" 30s ", 30_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0.5m", 30_000),
            ("1m 30s", 90_000),
            ("1h30min", 5_400_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            " ",
            "0",
            "0s",
            "0.0",
            "-1",
            "-1s",
            "+1",
            ".5s",
            "5.",
            "1..2",
            "1e3s",
            "1 e3",
            "nan",
            "inf",
            "-inf",
            "1e400",
            "25h",
            "2d",
            "99999999999999999999s",
            "s",
            "30 x",
            "1.2.3s",
            "0.0000000001ms",
            // What humantime cannot add up.
            "18446744073709551615s 999ms 1ms",
            "584542046090y 7615 s999ms1ms",
            "18446744073709551615s 0.999s 1\u{2003}ms",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -1.0, 1e300, 86_400.1] {
            assert!(parse_seconds(seconds).is_err(), "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*", seconds in any::<f64>()) {
            let _ = parse(&text);
            let _ = parse_seconds(seconds);
        }

        #[test]
        fn never_panics_near_the_grammar(text in "[0-9.]{0,24}[ a-zA-Z]{0,4}[0-9]{0,24}[a-z]{0,3}") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_milliseconds_round_trip(milliseconds in 1_u64..86_400_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format!("{milliseconds}ms")), Ok(duration));
            prop_assert_eq!(parse(&humantime::format_duration(duration).to_string()), Ok(duration));
        }
    }
}
