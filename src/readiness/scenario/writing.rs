//! A scenario as the text of its file.

use serde_json::Value;

use crate::definition::Limits;
use crate::definition::grants::{DialGrant, Grants};
use crate::definition::scenario::{
    Command, CommandEnd, DATE, Dial, Expected, HealthTest, MOST_BYTES, Outcome, Pattern, Poll, Scenario,
    Step, as_text, expected_word, health_word, tls_word,
};
use crate::probe::grants::line;
use crate::report::elapsed::limit;

/// A scenario is longer than a file may be.
#[derive(Debug)]
pub struct TooLong;

/// Writes a scenario; each line of `head` becomes a comment.
///
/// # Errors
/// If the text is longer than a scenario may be.
pub fn write(scenario: &Scenario, head: &str) -> Result<String, TooLong> {
    let mut text: String = head.lines().map(|line| format!("# {line}\n")).collect();
    let mut add = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
    if let Some(description) = &scenario.description {
        add("description", quoted(description));
    }
    add("sidecar", quoted(&scenario.sidecar));
    if let Some(port) = scenario.port {
        add("port", port.to_string());
    }
    if !scenario.env.is_empty() {
        let pairs = scenario.env.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value)));
        add("env", inline(pairs));
    }
    if scenario.seed != 0 {
        add("seed", scenario.seed.to_string());
    }
    let moment =
        i64::try_from(scenario.date.as_secs()).ok().and_then(|date| jiff::Timestamp::from_second(date).ok());
    if let Some(moment) = moment.filter(|_| scenario.date != DATE) {
        add("date", moment.to_string());
    }
    text.push_str(&readiness(scenario));
    for one in &scenario.polls {
        text.push_str(&poll(one));
        if text.len() as u64 > MOST_BYTES {
            return Err(TooLong);
        }
    }
    Ok(text)
}

fn readiness(scenario: &Scenario) -> String {
    let said = &scenario.readiness;
    let mut text = String::new();
    if !said.settings.is_empty() {
        text.push_str(&format!("settings = {}\n", json(&Value::Object(said.settings.clone()))));
    }
    if let Some(command) = &said.command {
        text.push_str(&format!("command = {}\n", words(command)));
    }
    if said.grants != Grants::default() {
        text.push_str(&format!("{}\n", line(&said.grants)));
    }
    let mut limits = Vec::new();
    if said.limits.memory != Limits::default().memory {
        limits.push(format!("memory = {}", said.limits.memory));
    }
    if said.limits.poll != Limits::default().poll {
        limits.push(format!("poll = \"{}\"", limit(said.limits.poll)));
    }
    if !limits.is_empty() {
        text.push_str(&format!("limits = {}\n", inline(limits.into_iter())));
    }
    text.push_str(&format!("timeout = \"{}\"\n", limit(said.timeout)));
    if said.max_timeout != said.timeout * 2 {
        text.push_str(&format!("max_timeout = \"{}\"\n", limit(said.max_timeout)));
    }
    if said.successes != 1 {
        text.push_str(&format!("successes = {}\ninterval = \"{}\"\n", said.successes, limit(said.interval)));
    }
    format!("\n[readiness]\n{text}")
}

fn poll(poll: &Poll) -> String {
    let mut text = "\n[[poll]]\n".to_owned();
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {value}\n"));
        }
    };
    let time = |time: std::time::Duration| quoted(&limit(time));
    add("at", poll.at.map(time));
    add("times", (poll.times != 1).then(|| poll.times.to_string()));
    add("every", poll.every.map(time));
    add("health", poll.health.map(|health| quoted(health_word(health))));
    add("health_test", poll.health_test.as_ref().map(health_test));
    add("log", (!poll.log.is_empty()).then(|| lines(&poll.log)));
    add("expect", Some(quoted(expected_word(&poll.expected))));
    match &poll.expected {
        Expected::Pending { reason, retry_after, extend } => {
            add("reason", reason.as_deref().map(quoted));
            add("retry_after", retry_after.map(time));
            add("extend", extend.map(time));
        }
        Expected::Failed(reason) | Expected::Crashed(reason) => add("reason", reason.as_deref().map(quoted)),
        Expected::Ready | Expected::TimedOut => {}
    }
    add("took", poll.took.map(time));
    text.extend(poll.dials.iter().map(dial));
    text.extend(poll.commands.iter().map(command));
    text
}

fn health_test(test: &HealthTest) -> String {
    let mut parts = vec![format!("exit_code = {}", test.exit_code)];
    if !test.output.is_empty() {
        parts.push(format!("output = {}", bytes(&test.output)));
    }
    if !test.takes.is_zero() {
        parts.push(format!("takes = {}", quoted(&limit(test.takes))));
    }
    inline(parts.into_iter())
}

fn dial(dial: &Dial) -> String {
    let mut text = "\n[[poll.dial]]\n".to_owned();
    match &dial.to {
        DialGrant::This(None) => {}
        DialGrant::This(Some(port)) => text.push_str(&format!("to = \"self:{port}\"\n")),
        DialGrant::Sidecar { name, port } => {
            text.push_str(&format!("to = {}\n", quoted(&format!("{name}:{port}"))));
        }
    }
    if !dial.takes.is_zero() {
        text.push_str(&format!("takes = {}\n", quoted(&limit(dial.takes))));
    }
    let result = match &dial.outcome {
        Outcome::Connected(steps) => {
            let steps: String = steps.iter().map(|one| format!("  {},\n", step(one))).collect();
            return if steps.is_empty() { text } else { format!("{text}steps = [\n{steps}]\n") };
        }
        Outcome::Refused => "refused",
        Outcome::TimedOut => "timed-out",
        Outcome::Unresolved => "unresolved",
        Outcome::Fails(reason) => reason,
    };
    format!("{text}result = {}\n", quoted(result))
}

fn step(step: &Step) -> String {
    let said = match step {
        Step::Expects(Pattern::Bytes(sent)) => format!("expects = {}", bytes(sent)),
        Step::Expects(Pattern::Any(count)) => format!("expects = {{ any = {count} }}"),
        Step::Sends(sent) => format!("sends = {}", bytes(sent)),
        Step::Waits(time) => format!("waits = {}", quoted(&limit(*time))),
        Step::Stalls => "stalls = true".to_owned(),
        Step::Breaks => "breaks = true".to_owned(),
        Step::ShakesHands { server_name, protocols, protocol } => {
            let mut parts = vec!["shakes_hands = true".to_owned()];
            parts.extend(server_name.iter().map(|name| format!("server_name = {}", quoted(name))));
            parts.extend(protocols.iter().map(|names| format!("protocols = {}", words(names))));
            parts.extend(protocol.iter().map(|name| format!("protocol = {}", quoted(name))));
            parts.join(", ")
        }
        Step::FailsTls(failure, reason) if reason.is_empty() => {
            format!("fails_tls = \"{}\"", tls_word(*failure))
        }
        Step::FailsTls(failure, reason) => {
            format!("fails_tls = \"{}\", reason = {}", tls_word(*failure), quoted(reason))
        }
    };
    format!("{{ {said} }}")
}

fn command(command: &Command) -> String {
    let mut text = format!("\n[[poll.exec]]\nargv = {}\n", words(&command.argv));
    if !command.takes.is_zero() {
        text.push_str(&format!("takes = {}\n", quoted(&limit(command.takes))));
    }
    match &command.end {
        CommandEnd::CannotRun(reason) => text.push_str(&format!("fails = {}\n", quoted(reason))),
        CommandEnd::Exits { exit_code, stdout, stderr } => {
            text.push_str(&format!("exit_code = {exit_code}\n"));
            for (key, output) in [("stdout", stdout), ("stderr", stderr)] {
                if !output.is_empty() {
                    text.push_str(&format!("{key} = {}\n", bytes(output)));
                }
            }
        }
    }
    text
}

/// Bytes as text if people can read it, and otherwise as hexadecimal digits.
fn bytes(bytes: &[u8]) -> String {
    as_text(bytes).map_or_else(
        || {
            let groups: Vec<String> = bytes.chunks(4).map(hex::encode).collect();
            format!("{{ hex = \"{}\" }}", groups.join(" "))
        },
        quoted,
    )
}

/// A string of TOML. Those of JSON are, but for one character that TOML wants escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn inline(parts: impl Iterator<Item = String>) -> String {
    format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
}

fn words(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

fn lines(lines: &[String]) -> String {
    format!("[\n{}]", lines.iter().map(|line| format!("  {},\n", quoted(line))).collect::<String>())
}

/// A key of TOML, in quotes if it needs them.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A value of JSON in TOML, which has no `null`: a key without a value says the same.
fn json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs = map.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<String> =
                pairs.map(|(name, value)| format!("{} = {}", key(name), json(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { inline(pairs.into_iter()) }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
