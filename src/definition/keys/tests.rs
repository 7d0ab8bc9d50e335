//! Every key takes part everywhere. A key without a row here fails, and so does a part that was forgotten.

use serde_json::Value as Json;

use super::KEYS;
use super::page::{PAGE, page};
use crate::approval::statement::{Held, Statement};
use crate::definition::{LayerDirectories, json_schema, load, schema};
use crate::engine::docker::api::Image;
use crate::engine::docker::double::{Double, DoubleImage};
use crate::engine::docker::testing::{compare, container_spec};
use crate::plan::Cause;
use crate::plan::reconcile::staleness;
use crate::plan::sidecar::{FirstValues, LABEL_CONFIGURATION, Scopes, Sidecar};
use crate::preparation::{Approval, ResolvedSidecar};
use crate::probe::catalogue::find;
use crate::probe::folders::ProbeFolders;

/// What a definition says of one key.
struct Row {
    path: &'static str,
    /// The line of the question that tells its value begins with this.
    line: &'static str,
    /// Two values, as a definition has them.
    values: [&'static str; 2],
}

const fn row(path: &'static str, line: &'static str, values: [&'static str; 2]) -> Row {
    Row { path, line, values }
}

const ROWS: &[Row] = &[
    row("entrypoint", "entrypoint", ["entrypoint = ['a', 'b']", "entrypoint = ['a b']"]),
    row("command", "command", ["command = ['a']", "command = ['b']"]),
    row("env", "env A", ["env = { A = '1' }", "env = { A = '2' }"]),
    row("mounts", "mounts", ["mounts = ['docker-socket']", "mounts = ['docker-socket:ro']"]),
    row("networks", "networks", ["networks = ['one']", "networks = ['one', 'two']"]),
    row("resources.memory", "memory", ["resources.memory = '64m'", "resources.memory = '1g'"]),
    row("stop_signal", "stop signal", ["stop_signal = 'INT'", "stop_signal = 'KILL'"]),
    row("stop_timeout", "stop timeout", ["stop_timeout = '1s'", "stop_timeout = '1500ms'"]),
    row("program", "program", ["program = ['a']", "program = ['a', 'b']"]),
    row(
        "working_dir",
        "working dir",
        ["program = ['a']\nworking_dir = 'one'", "program = ['a']\nworking_dir = 'two'"],
    ),
    // These two are parts of every definition, and not of the table.
    row("image", "image", ["image = 'one'", "image = 'two'"]),
    row(
        "interface.aliases",
        "reached",
        [
            "interface = { kind = 'port', port = 80, aliases = ['one'] }",
            "interface = { kind = 'port', port = 80, aliases = ['two'] }",
        ],
    ),
];

/// The sidecar of a definition with this line, and what a question about it says.
fn declared(line: &str) -> (Sidecar, Statement) {
    let mut text = "lifecycle = 'shared'\nreadiness.probe = 'skip'\n".to_owned();
    let runs = if line.contains("program = ") { "program" } else { "image = 'x'" };
    for required in [runs, "interface = { kind = 'port', port = 80 }"] {
        if required != "program" && required.split(' ').next() != line.split(' ').next() {
            text = format!("{text}{required}\n");
        }
    }
    text = format!("{text}{line}\n");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.toml"), &text).expect("a definition");
    let user = Some(folder.path().to_owned());
    let mut loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
    assert_eq!(loaded.problems, [], "{text}");
    let definition = loaded.definitions.remove(0);
    let found = definition
        .readiness
        .iter()
        .map(|readiness| find(&definition, readiness, &ProbeFolders::default()).expect("a probe"));
    let probes = found.collect();
    let sidecar = Sidecar::new(definition, &Scopes::default());
    let prepared = ResolvedSidecar {
        sidecar: sidecar.clone(),
        program: None,
        image_id: None,
        probes,
        approval: Approval::Missing,
    };
    (sidecar, Statement::of(&prepared, &Held::default()))
}

fn label(sidecar: &Sidecar) -> String {
    let spec = container_spec(sidecar, "db", "net", (&[], &FirstValues::new()), "salt");
    spec.labels[LABEL_CONFIGURATION].clone()
}

#[test]
fn every_key_has_a_row() {
    for key in KEYS {
        assert!(ROWS.iter().any(|row| row.path == key.path), "{} has no row", key.path);
    }
    assert_eq!(ROWS.len(), KEYS.len() + 2, "no key has two rows");
}

#[test]
fn a_changed_value_changes_the_hash_and_is_a_named_cause() {
    for Row { path, values, .. } in ROWS {
        let [before, after] = values.map(|value| declared(value).0);
        let (absent, _) = declared("");
        assert!(absent.hash != before.hash && before.hash != after.hash, "{path} is not hashed");
        let to_compare = [(&before, &after), (&absent, &after), (&before, &absent)];
        // Without `program` it is an image, which is another change.
        let to_compare = if *path == "working_dir" { &to_compare[..1] } else { &to_compare };
        for (before, after) in to_compare {
            let named = after.configuration().differences(&label(before)).expect("a readable label");
            let is_own = |name: &String| name == path || name.starts_with(&format!("{path}."));
            assert!(named.len() == 1 && named.iter().all(is_own), "{path}: {named:?}");
        }
        assert_eq!(after.configuration().differences(&label(&after)), Some(Vec::new()), "{path}");
    }
}

#[test]
fn a_question_for_an_approval_tells_every_value() {
    for Row { path, line, values } in ROWS {
        let texts = ["", values[0], values[1]].map(|value| {
            let (_, statement) = declared(value);
            let found = statement.lines.into_iter().filter(|found| found.label == *line);
            found.map(|found| found.text).collect::<Vec<_>>()
        });
        assert!(texts[1].len() == 1 && texts[2].len() == 1, "{path}: {texts:?}");
        assert!(texts[0] != texts[1] && texts[1] != texts[2], "{path}: {texts:?}");
    }
}

#[test]
fn the_engine_is_told_and_a_container_that_has_another_value_has_drifted() {
    for key in KEYS {
        let (Some(setting), Some(row)) = (key.setting, ROWS.iter().find(|row| row.path == key.path)) else {
            continue;
        };
        let sidecar = declared(row.values[0]).0;
        let engine = Double::new();
        let (mut container, id) = engine.change(|world| {
            let id = world.add_image("x", DoubleImage::default());
            let spec = container_spec(&sidecar, "db", "net", (&[], &FirstValues::new()), "salt");
            world.create(&spec).expect("a container");
            (world.container("db").expect("a container"), id)
        });
        let image = Image { id, ..Image::default() };
        let images = [("x".to_owned(), image)].into();
        let mut drift = |change: Option<Json>| {
            if let Some(value) = change {
                container.settings.insert(setting.to_owned(), value);
            }
            let causes = staleness(&sidecar, &compare(&sidecar, &container, &images), false);
            causes.into_iter().find_map(|cause| match cause {
                Cause::Drifted(what) => Some(what),
                _ => None,
            })
        };
        assert_eq!(drift(None), None, "{}", key.path);
        assert_eq!(drift(Some("other".into())), Some(vec![key.label()]), "{}", key.path);
        let absent = declared("").0.definition.container.settings();
        assert!(!absent.contains_key(setting), "{} is told where it is absent", key.path);
    }
}

#[test]
fn what_is_absent_changes_no_hash() {
    let nothing = declared("").0;
    let label = label(&nothing);
    for key in KEYS.iter().filter(|key| !super::ALWAYS_WRITTEN.contains(&key.name)) {
        assert!(!label.contains(key.name), "{} is written where it is absent: {label}", key.path);
    }
}

#[test]
fn editors_and_readers_know_every_key() {
    let root = json_schema();
    for Row { path, .. } in ROWS {
        let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = schema::known_keys(table);
        assert!(table == "interface" || known.contains(&name), "{path} is unknown");
        let properties = root.pointer(&schema::properties_of(table)).expect("a table");
        assert!(properties[name]["description"].is_string(), "{path} is not in the schema");
    }
}

#[test]
fn the_page_of_keys() {
    let now = page();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(PAGE, &now).expect("written");
    }
    for Row { path, .. } in ROWS {
        let name = path.rsplit('.').next().unwrap_or(path);
        let recreates =
            now.lines().any(|line| line.starts_with(&format!("| `{name}` | ")) && line.contains("| yes |"));
        assert!(recreates, "{path} is not on the page");
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    let how = "make it anew with `UPDATE_DOCS=1 cargo test --lib the_page_of_keys`";
    assert!(committed == now, "docs/definitions.md is out of date: {how}");
}
