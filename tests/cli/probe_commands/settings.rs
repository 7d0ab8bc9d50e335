//! The schema of a probe's settings, and what a component says about itself: written into the component, shown, and held
//! against definitions before anything is compiled.

use super::{beside, farrier, json};
use crate::support::guest::{self, component, guest, validating, with_imports};
use crate::support::{Layer, Scene, assert_output};

const SCHEMA: &str = r#"{
  "title": "Settings of a mail server's probe",
  "type": "object",
  "properties": {
    "greeting": { "type": "string", "description": "The text that the server\nsends first." },
    "tries": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3 },
    "mode": { "enum": ["smtp", "lmtp"] },
    "users": { "type": "array", "items": { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] } }
  },
  "required": ["greeting"],
  "additionalProperties": false
}"#;

/// A definition of a sidecar whose probe is `./mail.wasm`.
fn definition(settings: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"mail\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"./mail.wasm\"\n{settings}\n"
    )
}

/// A component that traps whenever it runs.
fn never_run() -> Vec<u8> {
    component(&with_imports("", guest::TRAP, &validating("")))
}

/// The component with this schema, and words about itself.
fn described(scene: &Scene, bytes: Vec<u8>, schema: &str) -> Vec<u8> {
    std::fs::write(scene.workspace().join("plain.wasm"), bytes).expect("a file");
    std::fs::write(scene.workspace().join("schema.json"), schema).expect("a file");
    let words = ["probe", "build", "plain.wasm", "--out", "mail.wasm", "--settings-schema", "schema.json"];
    let about = ["--metadata", "name=mail", "--metadata", "version=1.2.0", "--metadata", "licenses=MIT"];
    farrier(scene, &words).args(about).output().assert_code(0);
    std::fs::read(scene.workspace().join("mail.wasm")).expect("the component")
}

#[test]
fn any_component_can_say_what_it_is_and_which_settings_it_accepts() {
    let scene = Scene::new();
    described(&scene, component(&guest(guest::READY)), SCHEMA);
    let outcome = farrier(&scene, &["probe", "inspect", "./mail.wasm"]).output().assert_code(0);
    assert_output!(outcome, @r#"
    exit code 0
    --- stdout
    ./mail.wasm: a file

    name         mail
    version      1.2.0
    licenses     MIT
    size         1.0 KiB (1096 bytes)
    sha256       [ID]
    wit          farrier:probe 0.1.0
    exports      farrier:probe/check@0.1.0
    probe        can only return a verdict
    settings     greeting (a string, required): The text that the server sends first.
                 mode ("smtp" or "lmtp")
                 tries (a number from 1 to 9, by default 3)
                 users (a list)
                 users[].name (a string, required)

    A definition that uses it:

    [readiness]
    probe = "./mail.wasm"
    sha256 = "[ID]"
    --- stderr
    "#);
    let report = json(&farrier(&scene, &["probe", "inspect", "./mail.wasm", "--format", "json"]).output());
    assert_eq!(
        report["metadata"],
        serde_json::json!({ "name": "mail", "version": "1.2.0", "licenses": "MIT" })
    );
    assert_eq!(report["settings_schema"]["properties"]["tries"]["maximum"], 9);
    let mail = std::fs::read(scene.workspace().join("mail.wasm")).expect("the component");
    beside(&scene, Layer::User, "mail.wasm", mail);
    let lines = farrier(&scene, &["probe", "list"]).output().assert_code(0).stdout();
    let mail = lines.lines().find(|line| line.trim_start().starts_with("mail")).expect("a line");
    assert!(mail.contains("1.2.0"), "{mail}");
}

#[test]
fn a_built_in_probe_shows_its_settings() {
    let scene = Scene::new();
    let outcome = farrier(&scene, &["probe", "inspect", "log"]).output().assert_code(0);
    let shown = outcome.stdout();
    let (_, settings) = shown.split_once("\nsettings ").unwrap_or_else(|| panic!("{shown}"));
    insta::assert_snapshot!(settings, @"
        count (a number from 1 to 1000, by default 1): How many lines have to match.
                 pattern (a string): A regular expression that matches anywhere in a line. Either this or `text` is required.
                 text (a string): Text that is anywhere in a line.
    ");
    assert!(shown.contains("version      0.1.0\n"), "{shown}");
}

#[test]
fn mistakes_are_told_with_their_place_before_the_probe_runs() {
    let scene = Scene::new();
    let bytes = described(&scene, never_run(), SCHEMA);
    scene.define_in(Layer::User, "mail.wasm", bytes);
    let settings = "settings = { greting = \"220\", tries = 12, mode = \"pop\", users = [{ nam = 1 }] }";
    scene.define_in(Layer::User, "mail.toml", definition(settings));
    let outcome = farrier(&scene, &["validate"]).output().assert_code(2);
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    error[probe-settings]: readiness.settings.greting: unknown field `greting`, expected one of `greeting`, `mode`, `tries`, `users`
     --> [SCENE]/config/farrier/sidecars/mail.toml:7:14
      |
    7 | settings = { greting = "220", tries = 12, mode = "pop", users = [{ nam = 1 }] }
      |              ^^^^^^^
      |
      = help: Did you mean `greeting`?
      = help: Correct the settings of the probe `./mail.wasm`.

    error[probe-settings]: readiness.settings.mode: invalid value: string "pop", expected "smtp" or "lmtp"
     --> [SCENE]/config/farrier/sidecars/mail.toml:7:50
      |
    7 | settings = { greting = "220", tries = 12, mode = "pop", users = [{ nam = 1 }] }
      |                                                  ^^^^^
      |
      = help: Correct the settings of the probe `./mail.wasm`.

    error[probe-settings]: readiness.settings.tries: invalid value: integer `12`, expected a number from 1 to 9
     --> [SCENE]/config/farrier/sidecars/mail.toml:7:39
      |
    7 | settings = { greting = "220", tries = 12, mode = "pop", users = [{ nam = 1 }] }
      |                                       ^^
      |
      = help: Correct the settings of the probe `./mail.wasm`.

    error[probe-settings]: readiness.settings.users[0]: missing field `name`
     --> [SCENE]/config/farrier/sidecars/mail.toml:7:66
      |
    7 | settings = { greting = "220", tries = 12, mode = "pop", users = [{ nam = 1 }] }
      |                                                                  ^^^^^^^^^^^
      |
      = help: Correct the settings of the probe `./mail.wasm`.

    error[probe-settings]: readiness.settings: missing field `greeting`
     --> [SCENE]/config/farrier/sidecars/mail.toml:7:1
      |
    7 | settings = { greting = "220", tries = 12, mode = "pop", users = [{ nam = 1 }] }
      | ^^^^^^^^
      |
      = help: `greeting`: The text that the server sends first.
      = help: Correct the settings of the probe `./mail.wasm`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 5 errors, 0 warnings
    --- stderr
    "#);
    // A launch and a plan say the same, and ask no engine.
    for command in ["up", "plan"] {
        let outcome = farrier(&scene, &[command]).output();
        let told = outcome.stderr() + &outcome.stdout();
        assert!(told.contains("unknown field `greting`") && !told.contains("trapped"), "{command}: {told}");
    }
    // What the schema accepts, the probe itself decides.
    scene.define_in(Layer::User, "mail.toml", definition("settings = { greeting = \"220\" }"));
    let told = farrier(&scene, &["validate"]).output().assert_code(125).stdout();
    assert!(told.contains("[probe-crashed]"), "{told}");
    // In YAML, places and hints are YAML's.
    std::fs::remove_file(scene.layer(Layer::User).join("mail.toml")).expect("the definition");
    let yaml = "lifecycle: shared\nimage: mail\ninterface:\n  kind: none\nreadiness:\n  probe: ./mail.wasm\n  settings:\n    \
                greeting: 220\n";
    scene.define_in(Layer::User, "mail.yaml", yaml);
    let told = farrier(&scene, &["validate"]).output().assert_code(2).stdout();
    assert!(told.contains("mail.yaml:8:15"), "{told}");
    assert!(told.contains("invalid type: integer `220`, expected a string"), "{told}");
}

#[test]
fn a_dry_run_checks_settings_against_the_schema_first() {
    let scene = Scene::new();
    described(&scene, never_run(), SCHEMA);
    let check = ["probe", "check", "./mail.wasm", "--target", "localhost:1", "--settings"];
    let told = farrier(&scene, &check).arg("{\"greting\":\"220\"}").output().assert_code(2).stderr();
    assert!(told.contains("settings.greting: unknown field `greting`"), "{told}");
    assert!(told.contains("Did you mean `greeting`?") && !told.contains("trapped"), "{told}");
}

#[test]
fn a_schema_that_cannot_be_used_is_told_and_changes_nothing() {
    let scene = Scene::new();
    let deep = "{\"items\":".repeat(100_000);
    let section = format!("(@custom \"farrier:settings-schema\" \"{}\")", deep.replace('"', "\\\""));
    scene.define_in(Layer::User, "mail.wasm", component(&with_imports("", guest::READY, &section)));
    scene.define_in(Layer::User, "mail.toml", definition("settings = { anything = 1 }"));
    let told = farrier(&scene, &["validate"]).output().assert_code(0).stdout();
    assert!(told.contains("warning[probe-invalid]: farrier ignores the settings schema"), "{told}");
    assert!(told.contains("it is larger than 64 KiB"), "{told}");
    // Whoever writes one is told why it cannot be used.
    std::fs::write(scene.workspace().join("plain.wasm"), component(&guest(guest::READY))).expect("a file");
    for (schema, reason) in [
        ("{\"type\":\"string\"}".to_owned(), "it describes no table of settings"),
        ("{".to_owned(), "it is not JSON"),
        (deep, "it is larger than 64 KiB"),
    ] {
        std::fs::write(scene.workspace().join("schema.json"), schema).expect("a file");
        let words = ["probe", "build", "plain.wasm", "--settings-schema", "schema.json"];
        let told = farrier(&scene, &words).output().assert_code(2).stderr();
        assert!(
            told.contains("`schema.json` is not a schema of settings") && told.contains(reason),
            "{told}"
        );
    }
    let told = farrier(&scene, &["probe", "build", "plain.wasm", "--metadata", "licence=MIT"]).output();
    assert!(told.assert_code(2).stderr().contains("`licenses`"));
}

#[test]
fn what_a_schema_says_cannot_reach_the_terminal() {
    let scene = Scene::new();
    let odd = "\\u001b]0;x\\u0007\\u202e";
    let schema = format!(
        "{{\"properties\":{{\"a\":{{\"type\":\"string\",\"default\":\"{odd}\",\"description\":\"{odd}\"}},\"{odd}\":{{}}}},\
         \"required\":[\"{odd}\"],\"additionalProperties\":false}}"
    );
    let bytes = described(&scene, component(&guest(guest::READY)), &schema);
    scene.define_in(Layer::User, "mail.wasm", bytes);
    scene.define_in(Layer::User, "mail.toml", definition("settings = { a = 1, b = 2 }"));
    for words in [&["validate"][..], &["probe", "inspect", "./mail.wasm"], &["validate", "--format", "json"]]
    {
        let outcome = farrier(&scene, words).output();
        let shown = outcome.stdout() + &outcome.stderr();
        let raw = shown.chars().find(|found| (found.is_control() && *found != '\n') || *found == '\u{202e}');
        assert_eq!(raw, None, "{shown}");
    }
}
