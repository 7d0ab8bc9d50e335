//! The one setting, read by hand: a JSON parser is several times the size of this probe.

use alloc::string::String;

use farrier_probe::{Line, Problem, Schema};

const NO_PORT: &str = "a port is a number from 1 to 65535";

/// What a definition's `readiness.settings` may hold.
#[derive(Debug, Default, PartialEq, Schema)]
#[setting(deny_unknown_fields)]
pub struct Settings {
    /// The port to dial. Default: the interface's port. Another one must be granted: `grants = { dial = ["self:9000"] }`.
    #[setting(minimum = 1)]
    pub port: Option<u16>,
}

impl farrier_probe::Settings for Settings {
    const ANY: bool = true;

    fn from_json(text: &str) -> Result<Self, Problem> {
        let object = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let mut rest = object.ok_or_else(|| Problem::new("", "the settings are no table"))?.trim();
        let mut settings = Self::default();
        while !rest.is_empty() {
            let (name, value) = rest.split_once(':').unwrap_or((rest, ""));
            let name = name.trim().trim_matches('"');
            if name != "port" {
                return Err(unknown(name));
            }
            let (value, others) = value.split_once(',').unwrap_or((value, ""));
            let port = value.trim().parse().ok().filter(|port| *port != 0);
            settings.port = Some(port.ok_or_else(|| Problem::new("port", NO_PORT))?);
            rest = others.trim();
        }
        Ok(settings)
    }
}

fn unknown(name: &str) -> Problem {
    let message = Line::new().text("unknown field `").text(name).text("`, expected `port`");
    Problem::new(String::from(Line::new().text(name)), message)
}

#[cfg(test)]
mod tests {
    use farrier_probe::Settings as _;

    use super::*;

    #[test]
    fn only_a_port_is_accepted() {
        let unknown =
            |name: &str| Err(Problem::new(name, format!("unknown field `{name}`, expected `port`")));
        let rows = [
            ("{}", Ok(Settings { port: None })),
            (r#" { "port" : 9000 } "#, Ok(Settings { port: Some(9000) })),
            (r#"{"port":65535}"#, Ok(Settings { port: Some(65_535) })),
            (r#"{"port":0}"#, Err(Problem::new("port", NO_PORT))),
            (r#"{"port":65536}"#, Err(Problem::new("port", NO_PORT))),
            (r#"{"port":"9000"}"#, Err(Problem::new("port", NO_PORT))),
            (r#"{"port":[1,2]}"#, Err(Problem::new("port", NO_PORT))),
            (r#"{"port":null}"#, Err(Problem::new("port", NO_PORT))),
            (r#"{"ports":9000}"#, unknown("ports")),
            (r#"{"path":"/","port":9000}"#, unknown("path")),
            (r#"{"port":9000,"tls":true}"#, unknown("tls")),
            ("[]", Err(Problem::new("", "the settings are no table"))),
        ];
        for (text, expected) in rows {
            assert_eq!(Settings::from_json(text), expected, "{text}");
        }
    }
}
