//! `log`: ready when the container has written a line that matches, since its latest start. Imports only
//! `logs` and `state`: it reads each line once, from the first one of the run on, and remembers how far it is.

use farrier_probe::{Context, Denial, Line, Probe, Problem, Schema, Verdict, logs, state};
use regex_lite::Regex;
use serde::Deserialize;

/// How many lines may be waited for, and how many of the newest are looked at out of turn.
const MOST_WANTED: u32 = 1_000;
/// How many lines are asked for at once: all that the host hands out.
const PAGE: u32 = 10_000;
/// How many times one poll asks: a log that grows faster than it is read must not use up the poll.
const PAGES: usize = 4;
/// What of the pattern and of the last line is quoted.
const QUOTED_CHARACTERS: usize = 80;

struct Log;

/// What a definition's `readiness.settings` may hold: one of `pattern` and `text`.
#[derive(Debug, Deserialize, Schema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// A regular expression that matches anywhere in a line. Either this or `text` is required.
    pattern: Option<String>,
    /// Text that is anywhere in a line.
    text: Option<String>,
    /// How many lines have to match.
    #[setting(default = 1, minimum = 1, maximum = 1000)]
    count: u32,
}

/// What a line is held against.
enum Wanted<'a> {
    Pattern(&'a str, Regex),
    Text(&'a str),
}

impl Settings {
    fn wanted(&self) -> Result<Wanted<'_>, Problem> {
        match (&self.pattern, &self.text) {
            (Some(pattern), None) => match Regex::new(pattern) {
                Ok(regex) => Ok(Wanted::Pattern(pattern, regex)),
                Err(error) => Err(Problem::new("pattern", error.to_string())),
            },
            (None, Some(text)) => Ok(Wanted::Text(text)),
            (None, None) => Err(Problem::new("", "say which line to wait for: set `pattern` or `text`")),
            (Some(_), Some(_)) => Err(Problem::new("", "either `pattern` or `text` says what to wait for")),
        }
    }
}

impl Wanted<'_> {
    fn is_in(&self, line: &str) -> bool {
        match self {
            Self::Pattern(_, regex) => regex.is_match(line),
            Self::Text(text) => line.contains(text),
        }
    }

    const fn source(&self) -> &str {
        match self {
            Self::Pattern(source, _) | Self::Text(source) => source,
        }
    }
}

impl Probe for Log {
    type Settings = Settings;

    fn check(_: &Context, settings: Settings) -> Verdict {
        let wanted = match settings.wanted() {
            Ok(wanted) => wanted,
            Err(problem) => return Verdict::failed(Line::new().text(&problem.message)),
        };
        match look(&wanted, settings.count) {
            Ok(verdict) => verdict,
            Err(Denial::NotGranted(text)) => {
                Verdict::failed(Line::new().text("reading the log was not granted: ").text(&text))
            }
            Err(denial) => Verdict::pending(Line::new().text("the log cannot be read: ").text(denial.text())),
        }
    }

    fn validate(settings: &Settings) -> Result<(), Vec<Problem>> {
        let mut problems: Vec<Problem> = settings.wanted().err().into_iter().collect();
        for (field, value) in [("pattern", &settings.pattern), ("text", &settings.text)] {
            if value.as_ref().is_some_and(String::is_empty) {
                problems.push(Problem::new(field, "every line holds the empty text: say what to wait for"));
            }
        }
        if settings.text.as_ref().is_some_and(|text| text.contains('\n')) {
            problems.push(Problem::new(
                "text",
                "lines are looked at one by one, so that none holds a line's end",
            ));
        }
        if !(1..=MOST_WANTED).contains(&settings.count) {
            problems.push(Problem::new("count", "1 to 1000 lines can be waited for"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Reads on from where the poll before was. What is far behind the newest lines looks at these too.
fn look(wanted: &Wanted<'_>, count: u32) -> Result<Verdict, Denial> {
    let mut seen = Seen::recall();
    for _ in 0..PAGES {
        if seen.matching >= count {
            return Ok(Verdict::Ready);
        }
        let lines = logs::read(seen.next, PAGE)?;
        if lines.is_empty() {
            return Ok(seen.verdict(wanted, count));
        }
        seen.take(wanted, &lines);
    }
    if matching(wanted, &logs::tail(MOST_WANTED)?) >= count {
        return Ok(Verdict::Ready);
    }
    Ok(seen.verdict(wanted, count))
}

fn matching(wanted: &Wanted<'_>, lines: &[String]) -> u32 {
    let matching = lines.iter().filter(|line| wanted.is_in(line)).count();
    u32::try_from(matching).unwrap_or(u32::MAX)
}

/// What was read of this run's log.
#[derive(Default)]
struct Seen {
    /// The number of the next line.
    next: u64,
    /// How many lines matched.
    matching: u32,
    /// The last line that is not blank, as it is quoted.
    last: String,
}

impl Seen {
    /// What the polls before have read.
    fn recall() -> Self {
        let bytes = state::get();
        let Some((next, rest)) = bytes.split_first_chunk() else { return Self::default() };
        let Some((matching, last)) = rest.split_first_chunk() else { return Self::default() };
        Self {
            next: u64::from_le_bytes(*next),
            matching: u32::from_le_bytes(*matching),
            last: String::from_utf8_lossy(last).into_owned(),
        }
    }

    /// Takes lines in, and remembers that.
    fn take(&mut self, wanted: &Wanted<'_>, lines: &[String]) {
        self.matching = self.matching.saturating_add(matching(wanted, lines));
        self.next += lines.len() as u64;
        if let Some(last) = lines.iter().rfind(|line| !line.trim().is_empty()) {
            self.last = cut(last.trim());
        }
        let mut bytes = self.next.to_le_bytes().to_vec();
        bytes.extend(self.matching.to_le_bytes());
        bytes.extend(self.last.as_bytes());
        // It is far smaller than what may be remembered.
        let _ = state::set(&bytes);
    }

    fn verdict(&self, wanted: &Wanted<'_>, count: u32) -> Verdict {
        if self.matching >= count {
            return Verdict::Ready;
        }
        if self.last.is_empty() {
            return Verdict::pending("the log is empty");
        }
        let number = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
        let line = match self.matching {
            0 => Line::new().text("no line of ").number(number(self.next)),
            matching => Line::new()
                .number(number(matching.into()))
                .text(" of ")
                .number(number(count.into()))
                .text(" lines"),
        };
        let plural = if self.matching > 1 { " match `" } else { " matches `" };
        let line = line.text(plural).text(&cut(wanted.source())).text("`; last: ");
        Verdict::pending(line.text(&self.last))
    }
}

fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(QUOTED_CHARACTERS).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

farrier_probe::export!(Log with settings);

#[cfg(test)]
mod tests {
    use farrier_probe::testing::Sidecar;

    use super::*;

    #[test]
    fn lines_are_counted_and_the_last_is_quoted() {
        let log = ["booting", "listening on :80", "listening on :81", "  busy ", ""];
        let long = "x".repeat(300);
        let rows: [(&str, &[&str], Verdict); 9] = [
            (r#"{"text": "listening"}"#, &log, Verdict::Ready),
            (r#"{"pattern": "^listening on :8[0-9]$", "count": 2}"#, &log, Verdict::Ready),
            (
                r#"{"text": "listening", "count": 3}"#,
                &log,
                Verdict::pending("2 of 3 lines match `listening`; last: busy"),
            ),
            (
                r#"{"text": ":80", "count": 3}"#,
                &log,
                Verdict::pending("1 of 3 lines matches `:80`; last: busy"),
            ),
            (
                r#"{"pattern": "(?i)ready$"}"#,
                &log,
                Verdict::pending("no line of 5 matches `(?i)ready$`; last: busy"),
            ),
            (r#"{"text": "."}"#, &log, Verdict::pending("no line of 5 matches `.`; last: busy")),
            (r#"{"text": "x"}"#, &[], Verdict::pending("the log is empty")),
            (r#"{"text": "x"}"#, &["", " "], Verdict::pending("the log is empty")),
            (
                r#"{"text": "y"}"#,
                &[&long],
                Verdict::pending(format!("no line of 1 matches `y`; last: {}…", "x".repeat(80))),
            ),
        ];
        for (settings, lines, expected) in rows {
            let sidecar = Sidecar::new().settings(settings).logs(lines);
            assert_eq!(sidecar.check::<Log>(), expected, "{settings}");
            assert_eq!(sidecar.validate::<Log>(), Ok(()), "{settings}");
        }
        let Verdict::Failed(reason) = Sidecar::new().settings(r#"{"text": "a"}"#).check::<Log>() else {
            panic!("what is not granted stays so");
        };
        assert!(reason.contains("`grants = { logs = true }`"), "{reason}");
    }

    #[test]
    fn each_line_counts_once_however_many_there_are() {
        let noise = vec!["noise"; PAGE as usize * PAGES + 10];
        let mut log = vec!["ready"];
        log.extend(&noise);
        log.push("ready");
        log.extend(&noise[..MOST_WANTED as usize]);
        let wants =
            |count: u32| Sidecar::new().settings(format!("{{\"text\": \"ready\", \"count\": {count}}}"));
        assert_eq!(wants(1).logs(&log).check::<Log>(), Verdict::Ready, "at the beginning");
        assert_eq!(wants(1).logs(&log[1..=noise.len() + 1]).check::<Log>(), Verdict::Ready, "at the end");
        let sidecar = wants(2).logs(&log);
        let read = PAGE as usize * PAGES;
        let expected = Verdict::pending("1 of 2 lines matches `ready`; last: noise");
        assert_eq!(sidecar.check::<Log>(), expected, "after {read} lines");
        for poll in 2..4 {
            assert_eq!(sidecar.check::<Log>(), Verdict::Ready, "poll {poll}");
        }
        let sidecar = wants(3).logs(&log);
        for poll in 1..4 {
            assert_ne!(sidecar.check::<Log>(), Verdict::Ready, "poll {poll}: no line counts twice");
        }
    }

    #[test]
    fn senseless_settings_name_their_field() {
        let rows = [
            ("{}", vec![""]),
            (r#"{"pattern": "a", "text": "b"}"#, vec![""]),
            (r#"{"pattern": "("}"#, vec!["pattern"]),
            (r#"{"pattern": ""}"#, vec!["pattern"]),
            (r#"{"text": ""}"#, vec!["text"]),
            (r#"{"text": "a\nb", "count": 0}"#, vec!["text", "count"]),
            (r#"{"text": "a", "count": 1001}"#, vec!["count"]),
            (r#"{"text": "a", "count": -1}"#, vec!["count"]),
            (r#"{"text": 3}"#, vec!["text"]),
            (r#"{"regex": "a"}"#, vec!["regex"]),
        ];
        for (settings, fields) in rows {
            let problems = Sidecar::new().settings(settings).validate::<Log>().err().unwrap_or_default();
            let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(found, fields, "{settings} {problems:?}");
        }
    }
}
