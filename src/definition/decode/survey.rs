//! What holds for every value of a file, whichever key it belongs to: where it stands, whether it holds `${…}`,
//! and that it holds no NUL.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::definition::declared::Declared;
use crate::definition::interpolation::{is_script_flag, references};
use crate::definition::model::SecretReference;
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Reader, join};
use crate::report::error::{Code, Place, Problem};

/// Paths beyond this length are not kept: their nearest parent's place stands for them. It bounds what a file
/// of long nested keys can make farrier remember.
const LONGEST_PATH: usize = 512;

/// One reference is enough to refuse a definition; a hostile one could hold a hundred thousand.
const MOST_SECRETS: usize = 100;

/// What was seen on the way.
#[derive(Default)]
pub struct Survey {
    /// All of it.
    pub declared: Declared,
    /// Where each field stands.
    pub places: BTreeMap<String, Place>,
    /// Every secret reference.
    pub secrets: Vec<SecretReference>,
}

impl Survey {
    /// Looks at a whole file.
    pub fn of(root: &Node, reader: &mut Reader<'_>) -> Self {
        let mut survey = Self { declared: Declared::of(root), ..Self::default() };
        survey.children(root, "", reader);
        survey
    }

    fn children(&mut self, node: &Node, path: &str, reader: &mut Reader<'_>) {
        match &node.value {
            Value::Scalar(scalar) => {
                if scalar.kind == ScalarKind::String {
                    self.text(&scalar.text, path, &node.span, reader);
                }
            }
            Value::List(items) => {
                let mut after_script_flag = false;
                for (index, item) in items.iter().enumerate() {
                    let text = item.scalar().map(|scalar| scalar.text.as_str());
                    let item_path = bounded(format!("{path}[{index}]"), path);
                    self.record(&item_path, &item.span, reader);
                    if after_script_flag {
                        self.script(text.unwrap_or_default(), &item_path, item, reader);
                    } else {
                        self.children(item, &item_path, reader);
                    }
                    after_script_flag = text.is_some_and(is_script_flag);
                }
            }
            Value::Table(entries) => {
                for entry in entries {
                    let entry_path = bounded(join(path, &entry.key), path);
                    let span = match entry.value.value {
                        Value::Scalar(_) => &entry.value.span,
                        Value::List(_) | Value::Table(_) => &entry.key_span,
                    };
                    self.record(&entry_path, span, reader);
                    self.key(&entry.key, &entry_path, &entry.key_span, reader);
                    self.children(&entry.value, &entry_path, reader);
                }
            }
        }
    }

    fn record(&mut self, path: &str, span: &Range<usize>, reader: &Reader<'_>) {
        if !self.places.contains_key(path) {
            self.places.insert(path.to_owned(), reader.place(span));
        }
    }

    fn key(&mut self, key: &str, path: &str, span: &Range<usize>, reader: &mut Reader<'_>) {
        if key.contains("${") || key.contains('\0') {
            self.text(key, path, span, reader);
        }
    }

    fn text(&mut self, text: &str, path: &str, span: &Range<usize>, reader: &mut Reader<'_>) {
        self.secrets_and_nul(text, path, span, reader);
        if path == "description" {
            return;
        }
        for reference in references(text).iter().filter(|reference| !reference.is_secret) {
            // What is left of variables in TOML was meant as text.
            if reader.is_toml() && !reference.text.starts_with("${secret") {
                continue;
            }
            let message = format!(
                "`{}` in `{path}` is not interpolated: farrier passes the text on unchanged",
                reference.text
            );
            let hint = if reference.text.starts_with("${secret") {
                "Write a secret as `${secret:provider:reference}`, or write the value itself."
            } else {
                "Write the value itself, or write the definition in TOML, which reads farrier's environment."
            };
            reader.report(Problem::warning(Code::NotInterpolated, message).hint(hint), span);
        }
    }

    /// The text after a shell's `-c`: the shell in the container replaces `${VAR}` itself, so that only secrets
    /// and NULs matter.
    fn script(&mut self, text: &str, path: &str, node: &Node, reader: &mut Reader<'_>) {
        match &node.value {
            Value::Scalar(_) => self.secrets_and_nul(text, path, &node.span, reader),
            _ => self.children(node, path, reader),
        }
    }

    fn secrets_and_nul(&mut self, text: &str, path: &str, span: &Range<usize>, reader: &mut Reader<'_>) {
        for reference in references(text).iter().filter(|reference| reference.is_secret) {
            if self.secrets.len() >= MOST_SECRETS {
                break;
            }
            self.secrets.push(SecretReference { field: path.to_owned(), text: reference.text.to_owned() });
        }
        if text.contains('\0') {
            let message = format!("`{path}` contains a NUL character");
            let hint = "Remove it: neither arguments nor environment variables can contain one.";
            reader.report(Problem::error(Code::InvalidValue, message).hint(hint), span);
        }
    }
}

fn bounded(path: String, parent: &str) -> String {
    if path.len() > LONGEST_PATH { parent.to_owned() } else { path }
}
