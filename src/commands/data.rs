//! What the commands that print data have in common.

use std::io::Write;

use serde_json::{Value, json};

use crate::definition::{LayerReport, escape};

/// Data goes to standard output; a reader that went away is no failure.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
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
            (false, _) => "no such directory".to_owned(),
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
