//! What `--events` wrote, as data.

use std::path::Path;

use farrier::event::record::Line;
use serde_json::Value;

/// The lines of one launch, each parsed; a line that does not parse fails the test.
#[derive(Debug)]
pub struct Events(pub Vec<Value>);

impl Events {
    /// Reads a file; what was written so far, where farrier still runs.
    pub fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    /// Parses whole lines.
    pub fn parse(text: &str) -> Self {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Self(whole.lines().map(event).collect())
    }

    /// All of one kind, in order.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|event| event["event"] == kind).collect()
    }

    /// The only one of its kind.
    pub fn one(&self, kind: &str) -> &Value {
        let found = self.of(kind);
        assert_eq!(found.len(), 1, "{kind} in {:#?}", self.0);
        found[0]
    }

    /// The first of a kind about one sidecar.
    pub fn about(&self, kind: &str, sidecar: &str) -> &Value {
        let found = self.of(kind).into_iter().find(|event| event["sidecar"] == sidecar);
        found.unwrap_or_else(|| panic!("no {kind} of {sidecar} in {:#?}", self.0))
    }

    /// The distinct answers of the only probe of a sidecar that was not ready.
    pub fn answers(&self) -> Vec<String> {
        let answers = self.one("not-ready")["probes"][0]["answers"].as_array().cloned().unwrap_or_default();
        answers.iter().map(|answer| text(&answer["answer"])).collect()
    }

    /// What the probes answered, each answer that is another than the one before it.
    pub fn answered(&self) -> Vec<String> {
        self.of("answered").into_iter().map(|told| text(&told["answer"])).collect()
    }
}

/// One line as data. One that is not what `farrier schema --events` documents, to the last field, fails the test.
pub fn event(line: &str) -> Value {
    let written: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let documented: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let again = serde_json::to_value(&documented).expect("an event is JSON");
    assert_eq!(written, again, "a field that is not documented");
    written
}

/// A value that is text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text")).to_owned()
}

/// A value that is a number.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}
