//! The keys that make the container what it is: finds each in the file, and has its kind read it.

use std::collections::BTreeMap;

use crate::definition::keys::{ContainerKeys, KEYS, normalised};
use crate::definition::node::{Node, ScalarKind};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

/// Reads all of them, in the order of their table.
pub fn decode(table: Table<'_>, reader: &mut Reader<'_>) -> ContainerKeys {
    let mut container = ContainerKeys::default();
    let mut inner = BTreeMap::new();
    for key in KEYS {
        let node = match key.path.rsplit_once('.') {
            None => table.get(key.path),
            Some((parent, name)) => {
                let opened = inner.entry(parent).or_insert_with(|| {
                    if parent == "interface" {
                        // Its decoder reports what is wrong with the table.
                        return Table::of(table.get(parent)?);
                    }
                    let known = schema::known_keys(parent);
                    reader.table(table.get(parent)?, parent, known, table.key_span(parent))
                });
                opened.and_then(|opened| opened.get(name))
            }
        };
        if let Some(node) = node {
            if key.ignores_nothing() || !is_nothing(node) {
                key.decode(node, reader, &mut container);
            } else {
                let message = format!("`{}` is empty and is ignored", key.path);
                let problem =
                    Problem::warning(Code::InvalidValue, message).hint("Remove it, or give it a value.");
                reader.report(problem, &node.span);
            }
        }
    }
    container
}

/// Whether a value says nothing, as compose's files often have it.
fn is_nothing(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.kind == ScalarKind::Null || scalar.text.is_empty())
}

/// What keys mean and exclude together.
pub fn together(container: &mut ContainerKeys, table: Table<'_>, reader: &mut Reader<'_>) {
    if let (Some(folder), None) = (&container.working_dir, &container.program) {
        match normalised(folder).ok().filter(|_| folder.starts_with('/')) {
            Some(path) => container.working_dir = Some(path),
            // The root is the only folder that nothing can be mounted at.
            None if folder.starts_with('/') && folder.trim_matches(['/', '.']).is_empty() => {
                container.working_dir = Some("/".to_owned());
            }
            None => {
                let message =
                    format!("`working_dir` is \"{folder}\", which is no absolute path in the container");
                let hint = "Write it in full, as it is in the container: \"/srv/app\".";
                reader.report(
                    Problem::error(Code::InvalidValue, message).hint(hint),
                    table.key_span("working_dir"),
                );
            }
        }
    }
    if let Some(both) = container.cap_add.iter().find(|name| container.cap_drop.contains(name)) {
        let message = format!("`cap_add` and `cap_drop` both have `{both}`");
        let problem = Problem::error(Code::ConflictingFields, message);
        reader.report(problem.hint("Keep it in one of them."), table.key_span("cap_drop"));
    }
    if container.privileged && container.security_opt.iter().any(|option| option == "label=disable") {
        let message = "`security_opt` has `label=disable`, which `privileged` brings along";
        let problem = Problem::error(Code::ConflictingFields, message);
        reader.report(problem.hint("Remove it from `security_opt`."), table.key_span("security_opt"));
    }
}
