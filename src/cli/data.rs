//! Helpers of the commands that print data.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use crate::definition::LayerReport;
use crate::preparation::policy::PolicyReport;
use crate::report::escape::{escape, escape_json};

/// Data goes to standard output; a reader that went away is no failure.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Data for programs, as indented JSON that a terminal shows as it is.
pub(super) fn print_json(value: &Value) {
    print(&indented(value));
}

/// The text of that.
pub(super) fn indented(value: &Value) -> String {
    format!("{}\n", escape_json(&format!("{value:#}")))
}

/// Writes bytes to standard output as they are.
///
/// # Errors
/// When nobody reads them any more.
pub(super) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The columns of the terminal that standard output is; none where it is none.
pub(super) fn terminal_width() -> Option<u16> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout)).and_then(Result::ok)?;
    Some(if size.ws_col == 0 { 80 } else { size.ws_col })
}

/// Every layer with its count, as data.
pub(super) fn layers_json(layers: &[LayerReport]) -> Value {
    layers
        .iter()
        .map(|layer| {
            json!({
                "layer": layer.layer.as_str(),
                "given_as": layer.given_as.as_str(),
                "directory": layer.directory.display().to_string(),
                "present": layer.present,
                "files": layer.files,
            })
        })
        .collect()
}

/// Every layer with its count, a line each.
pub(super) fn layer_lines(layers: &[LayerReport]) -> String {
    let line = |layer: &LayerReport| {
        let found = match (layer.present, layer.files) {
            (false, _) => "no such folder".to_owned(),
            (true, 1) => "1 file".to_owned(),
            (true, files) => format!("{files} files"),
        };
        let moved = if layer.layer == layer.given_as {
            String::new()
        } else {
            format!(", given as {} but inside the workspace", layer.given_as)
        };
        let directory = escape(&layer.directory.display().to_string());
        format!("layer {:<9} {directory} ({found}{moved})\n", layer.layer.as_str())
    };
    layers.iter().map(line).collect()
}

/// Every policy that is in force with its rules, as data.
pub(super) fn policies_json(policies: &[PolicyReport]) -> Value {
    let each = policies
        .iter()
        .map(|policy| json!({ "file": policy.path.display().to_string(), "rules": policy.rules }));
    each.collect()
}

/// Every policy that is in force with its rules, a line each.
pub(super) fn policy_lines(policies: &[PolicyReport]) -> String {
    let line = |policy: &PolicyReport| {
        format!("policy          {} ({})\n", escape(&policy.path.display().to_string()), policy.in_words())
    };
    policies.iter().map(line).collect()
}
