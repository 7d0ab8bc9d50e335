//! A tree to a definition: checks every field, and reports all problems with their places.

mod container;
mod grants;
mod harness;
mod interface;
mod order;
mod profiles;
mod readiness;
mod settings;
mod successes;
mod survey;
#[cfg(test)]
mod tests;
mod tls_grant;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) use self::grants::{dial_grant, unset};
pub(super) use self::readiness::of_scenario as readiness_of_scenario;
pub use self::readiness::{BUILT_IN, DIALLING};
use self::survey::Survey;
use super::declared::Declared;
use super::interpolation::has_secret;
use super::keys::KEYS;
use super::model::{Definition, Layer, Lifecycle};
use super::node::{Entry, Node, ScalarKind, Value};
use super::order::JOB_TIMEOUT;
use super::read::Access;
use super::reader::{Reader, Table};
use super::schema;
use crate::report::error::{Code, Place, Problem, Source};

/// What a file declares.
#[derive(Debug)]
pub enum Declaration {
    /// A sidecar.
    Sidecar(Box<Definition>),
    /// That the inherited sidecar of this name goes.
    Disabled {
        /// Where that is said.
        place: Place,
        /// Everything that the file says.
        declared: Declared,
    },
    /// A sidecar that cannot be used: its errors were reported.
    Broken,
}

/// Decodes one file. The name is the file's stem.
///
/// A disabled definition is not checked further: what does not take part may be unfinished.
pub fn decode(root: &Node, source: &Arc<Source>, name: &str, layer: Layer) -> (Declaration, Vec<Problem>) {
    let mut reader = Reader::new(source, name);
    let declaration = declaration(root, source, name, layer, &mut reader);
    (declaration, reader.into_problems())
}

fn declaration(
    root: &Node,
    source: &Arc<Source>,
    name: &str,
    layer: Layer,
    reader: &mut Reader<'_>,
) -> Declaration {
    // A YAML file of comments only is an empty value.
    let empty = Node::empty();
    let root = match &root.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Null => &empty,
        _ => root,
    };
    let start = 0..0;
    let Value::Table(entries) = &root.value else {
        let message = format!("a definition must be a table of keys, not {}", root.describe());
        let hint = "Begin with keys such as `lifecycle`, `image` and `interface`.";
        reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &root.span);
        return Declaration::Broken;
    };
    if let Some(Entry { value: node, .. }) = entries.iter().find(|entry| entry.key == "disable") {
        match reader.boolean(node, "disable") {
            Some(true) => {
                return Declaration::Disabled {
                    place: reader.place(&node.span),
                    declared: Declared::of(root),
                };
            }
            Some(false) => {}
            None => return Declaration::Broken,
        }
    }
    let Some(table) = reader.table(root, "", schema::known_keys(""), &start) else {
        return Declaration::Broken;
    };
    let survey = Survey::of(root, reader);
    match sidecar(table, survey, source, name, layer, reader) {
        Some(definition) if !reader.has_errors() => Declaration::Sidecar(Box::new(definition)),
        _ => Declaration::Broken,
    }
}

fn sidecar(
    table: Table<'_>,
    mut survey: Survey,
    source: &Arc<Source>,
    name: &str,
    layer: Layer,
    reader: &mut Reader<'_>,
) -> Option<Definition> {
    let description = table.get("description").and_then(|node| description(node, reader));
    let lifecycle = lifecycle(table, reader);
    let runs = runs(table, reader);
    let mut container = container::decode(table, reader);
    container::together(&mut container, table, reader);
    survey.places.extend(reader.take_places());
    let interface = interface::decode(table, reader);
    let harness_env = harness::decode(table, &interface, &container, layer, reader);
    let profiles = profiles::decode(table, reader);
    let is_job = container.job.is_some();
    let readiness = if is_job {
        Some(Vec::new())
    } else {
        readiness::decode(table, &interface, &container, layer, reader)
    };
    survey.places.extend(reader.take_places());
    let job_timeout =
        if is_job { order::job_timeout(table, &interface, &container, reader) } else { Some(JOB_TIMEOUT) };
    let after = order::after(table, reader);
    let on_exit = order::on_exit(table, &container, reader);
    let required = table.get("required").and_then(|node| reader.boolean(node, "required")).unwrap_or(false);
    Some(Definition {
        name: name.to_owned(),
        layer,
        source: Arc::clone(source),
        access: Access::default(),
        declared: survey.declared,
        places: survey.places,
        description,
        lifecycle: lifecycle?,
        image: match runs? {
            Runs::Image(image) => Some(image),
            Runs::Program => None,
        },
        container,
        interface: interface.value?,
        readiness: readiness?,
        required,
        secrets: survey.secrets,
        variables: BTreeSet::new(),
        harness_env,
        profiles,
        after,
        on_exit,
        job_timeout: job_timeout?,
        files: Vec::new(),
    })
}

/// The Python launcher took anything here; what is not text is left out.
fn description(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = node.scalar().map(|scalar| scalar.text.clone());
    if text.is_none() {
        let message = format!("`description` is {}, not text, and is ignored", node.describe());
        let hint = "Write one line of text.";
        reader.report(Problem::warning(Code::InvalidValue, message).hint(hint), &node.span);
    }
    text.filter(|text| !text.is_empty())
}

fn lifecycle(table: Table<'_>, reader: &mut Reader<'_>) -> Option<Lifecycle> {
    const HINT: &str = "Write `lifecycle = \"shared\"`: one container, which all launches use.";
    let Some(node) = table.get("lifecycle") else {
        // The Python launcher requires it in its own files.
        if reader.is_toml() {
            return Some(Lifecycle::Shared);
        }
        reader.missing("lifecycle", HINT, table.span);
        return None;
    };
    match node.scalar().filter(|scalar| scalar.kind == ScalarKind::String).map(|scalar| scalar.text.as_str())
    {
        Some("shared") => Some(Lifecycle::Shared),
        Some("session") => Some(Lifecycle::Session),
        _ => {
            reader.wrong("lifecycle", "\"shared\"", node, HINT);
            None
        }
    }
}

/// What a definition runs.
enum Runs {
    /// An image.
    Image(String),
    /// The program that the table of keys reads.
    Program,
}

fn runs(table: Table<'_>, reader: &mut Reader<'_>) -> Option<Runs> {
    match (table.get("image"), table.get("program")) {
        (Some(node), None) => {
            let only_for_programs = KEYS.iter().filter(|key| key.is_only_for_programs).map(|key| key.path);
            for key in only_for_programs.filter(|key| table.get(key).is_some()) {
                let message = format!("`{key}` is only for a `program`, and this definition has an `image`");
                let hint = "Remove it: a container is isolated by itself.";
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), table.key_span(key));
            }
            image(node, reader).map(Runs::Image)
        }
        (None, Some(_)) => {
            let only_for_images = KEYS.iter().filter(|key| key.is_only_for_images).map(|key| key.path);
            for key in only_for_images.filter(|key| table.get(key).is_some()) {
                let message = format!("`{key}` is only for an `image`, and this definition has a `program`");
                let hint = "Remove it; list the arguments in `program`, after the program's name.";
                reader.report(Problem::error(Code::InvalidValue, message).hint(hint), table.key_span(key));
            }
            Some(Runs::Program)
        }
        (Some(_), Some(_)) => {
            let problem =
                Problem::error(Code::InvalidValue, "a definition cannot have both `image` and `program`");
            let hint = "Keep `image` to run a container, or `program` to run a program on this host.";
            reader.report(problem.hint(hint), table.key_span("program"));
            None
        }
        (None, None) => {
            let hint = "Name the image to start, for example \"postgres:16\", or a program on this host: \
                        `program = [\"redis-server\"]`.";
            reader.missing("image", hint, table.span);
            None
        }
    }
}

fn image(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let image = reader.string(node, "image")?;
    // A secret reference is refused as such, not as a strange image.
    if !has_secret(&image)
        && let Err(reason) = super::image::check(&image)
    {
        let message = format!("`image` is not a reference that an engine accepts: {reason}");
        let hint = "Write `[registry/]name[:tag][@digest]`, for example \"postgres:16\", or the path of an image's file: \
                    \"oci:./layout\", \"docker-archive:./image.tar\".";
        reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &node.span);
        return None;
    }
    Some(image)
}
