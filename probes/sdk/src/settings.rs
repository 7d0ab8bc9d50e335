//! A probe's settings, which reach it as the text of one JSON object.

use crate::Problem;

/// What a probe's settings can be: [`NoSettings`], or any type that serde can deserialise (feature
/// `settings`).
pub trait Settings: Sized {
    /// Whether there is something to check: false only for [`NoSettings`].
    const ANY: bool;

    /// Reads the settings from their JSON text.
    ///
    /// # Errors
    /// The first field that does not fit, and why.
    fn from_json(text: &str) -> Result<Self, Problem>;
}

/// The settings of a probe that has none. Costs nothing: no JSON parser is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSettings;

impl Settings for NoSettings {
    const ANY: bool = false;

    fn from_json(_text: &str) -> Result<Self, Problem> {
        Ok(Self)
    }
}

#[cfg(feature = "settings")]
impl<T: serde::de::DeserializeOwned> Settings for T {
    const ANY: bool = true;

    fn from_json(text: &str) -> Result<Self, Problem> {
        use alloc::string::{String, ToString};

        // By way of a value, because the parser's own messages name a line and column of text that nobody wrote.
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Problem { path: String::new(), message: error.to_string() })?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            Problem { path, message: error.into_inner().to_string() }
        })
    }
}

impl Problem {
    /// A problem with the field at `path` (`conditions[0].status`; empty for the settings as a whole).
    #[must_use]
    pub fn new(path: impl Into<alloc::string::String>, message: impl Into<alloc::string::String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

#[cfg(all(test, feature = "settings"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Http {
        path: alloc::string::String,
        #[serde(default)]
        conditions: Vec<Condition>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Condition {
        status: u16,
    }

    #[test]
    fn a_problem_names_the_field_and_no_position_in_the_text() {
        let rows = [
            (r#"{"path": 3}"#, "path", "invalid type: integer `3`, expected a string"),
            ("{}", "", "missing field `path`"),
            (
                r#"{"path": "/", "conditions": [{"status": 200}, {"status": 70000}]}"#,
                "conditions[1].status",
                "invalid value: integer `70000`, expected u16",
            ),
            (r#"{"path": "/", "pfad": 1}"#, "pfad", "unknown field `pfad`, expected `path` or `conditions`"),
        ];
        for (text, path, message) in rows {
            assert_eq!(Http::from_json(text), Err(Problem::new(path, message)), "{text}");
        }
    }

    #[test]
    fn settings_that_fit_are_read() {
        let read = Http::from_json(r#"{"path": "/health"}"#);
        assert_eq!(read, Ok(Http { path: "/health".into(), conditions: Vec::new() }));
        assert_eq!(NoSettings::from_json("{}"), Ok(NoSettings));
    }
}
