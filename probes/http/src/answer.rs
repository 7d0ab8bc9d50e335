//! Whether an answer is the one that is wanted, and what it lacks.

use alloc::string::ToString;

use farrier_probe::http::{Failure, Response};
use farrier_probe::{Line, Verdict};
use serde_json::Value;

use crate::settings::{Condition, Settings};

/// The most bytes of a body that are looked at: 256 KiB.
const BODY_BYTES: usize = 256 << 10;
/// What of a body is quoted where it lacks something.
const QUOTED_BYTES: usize = 80;

/// Looks at the status first, since what an error's body holds says little.
pub fn verdict(mut response: Response, settings: &Settings) -> Result<Verdict, Failure> {
    if !settings.status.contain(response.status) {
        return Ok(Verdict::pending(unwanted(&mut response)));
    }
    if settings.body.is_none() && settings.json.is_empty() {
        return Ok(Verdict::Ready);
    }
    let (body, whole) = response.body(BODY_BYTES)?;
    if let Some(text) = &settings.body
        && !holds(&body, text.as_bytes())
    {
        let place = if whole { "the body" } else { "the body's first 256 KiB" };
        let line = Line::new().text(place).text(" does not hold `").text(text).text("`: ");
        return Ok(Verdict::pending(quote(line, &body)));
    }
    if settings.json.is_empty() {
        return Ok(Verdict::Ready);
    }
    if !whole {
        return Ok(Verdict::pending("the body is longer than 256 KiB, so that it is not read as JSON"));
    }
    let Ok(value) = serde_json::from_slice::<Value>(&body) else {
        return Ok(Verdict::pending(quote(Line::new().text("the body is not JSON: "), &body)));
    };
    let unmet = settings.json.iter().find_map(|condition| unmet(condition, &value));
    Ok(unmet.map_or(Verdict::Ready, Verdict::pending))
}

/// `HTTP 503`, with the first line of a short text where the server says why.
fn unwanted(response: &mut Response) -> Line {
    let line = Line::new().text("HTTP ").number(response.status.into());
    let is_text = response
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/plain") || kind.starts_with("application/json"));
    match response.chunk() {
        Ok(Some(body)) if is_text && body.len() <= 4 * QUOTED_BYTES => quote(line.text(": "), &body),
        _ => line,
    }
}

fn quote(line: Line, body: &[u8]) -> Line {
    let first = farrier_probe::line::first(body);
    match first.get(..QUOTED_BYTES) {
        Some(cut) => line.bytes(cut).text("…"),
        None if first.is_empty() => line.text("it is empty"),
        None => line.bytes(first),
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len().max(1)).any(|window| window == text)
}

/// What is not as the condition says.
fn unmet(condition: &Condition, body: &Value) -> Option<Line> {
    let found = body.pointer(&condition.pointer);
    let place = if condition.pointer.is_empty() { "the body" } else { &condition.pointer };
    let line = Line::new().text("`").text(place).text("` ");
    match (&condition.equals, condition.exists.unwrap_or(true), found) {
        (Some(wanted), _, Some(found)) if equal(wanted, found) => None,
        (Some(wanted), _, Some(found)) => {
            Some(line.text("is ").text(&short(found)).text(", not ").text(&wanted.to_string()))
        }
        (Some(_), _, None) | (None, true, None) => Some(line.text("is not in the body")),
        (None, false, Some(found)) => Some(line.text("is still there: ").text(&short(found))),
        (None, true, Some(_)) | (None, false, None) => None,
    }
}

/// The value's text, or what kind it is where that would be long.
fn short(value: &Value) -> alloc::string::String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => {
            // A long one would push what is wanted out of the line.
            let cut: alloc::string::String = text.chars().take(QUOTED_BYTES).collect();
            let whole = cut.len() == text.len();
            let quoted = Value::String(cut).to_string();
            if whole { quoted } else { quoted + "…" }
        }
        value => value.to_string(),
    }
}

/// As JSON means it: 1 and 1.0 are one number.
fn equal(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => wanted == found,
    }
}
