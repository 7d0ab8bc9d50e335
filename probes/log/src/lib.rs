//! `log`: ready when the container has written a line that matches, since its current start. Imports only
//! `logs`.

use farrier_probe::{Context, Denial, Line, Probe, Problem, Verdict, logs};
use regex_lite::Regex;
use serde::Deserialize;

/// How many of the newest lines are looked at: all that the host hands out.
const LINES: u32 = 1_000;
/// What of the pattern and of the last line is quoted.
const QUOTED_CHARACTERS: usize = 80;

struct Log;

/// What a definition's `readiness.settings` may hold: one of `pattern` and `text`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A regular expression that is looked for anywhere in a line.
    pattern: Option<String>,
    /// Text that is looked for anywhere in a line.
    text: Option<String>,
    /// How many lines have to match.
    #[serde(default = "once")]
    count: u32,
}

const fn once() -> u32 {
    1
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
        match (settings.wanted(), logs::tail(LINES)) {
            (Err(problem), _) => Verdict::failed(Line::new().text(&problem.message)),
            (Ok(wanted), Ok(lines)) => verdict(&wanted, settings.count as usize, &lines),
            (_, Err(Denial::NotGranted(text))) => {
                Verdict::failed(Line::new().text("reading the log was not granted: ").text(&text))
            }
            (_, Err(denial)) => {
                Verdict::pending(Line::new().text("the log cannot be read: ").text(denial.text()))
            }
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
        if !(1..=LINES).contains(&settings.count) {
            problems.push(Problem::new("count", "1 to 1000 lines can be waited for"));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn verdict(wanted: &Wanted<'_>, count: usize, lines: &[String]) -> Verdict {
    let Some(last) = lines.iter().rfind(|line| !line.trim().is_empty()) else {
        return Verdict::pending("the log is empty");
    };
    let matching = lines.iter().filter(|line| wanted.is_in(line)).take(count).count();
    if matching >= count {
        return Verdict::Ready;
    }
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let line = match matching {
        0 => Line::new().text("no line of ").number(number(lines.len())),
        _ => Line::new().number(number(matching)).text(" of ").number(number(count)).text(" lines"),
    };
    let plural = if matching > 1 { " match `" } else { " matches `" };
    let line = line.text(plural).text(&cut(wanted.source())).text("`; last: ");
    Verdict::pending(line.text(&cut(last.trim())))
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
        assert!(reason.contains("grants.logs"), "{reason}");
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
