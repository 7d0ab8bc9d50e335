//! Text of others in everything that farrier writes: no character that a terminal acts on, hides or reorders reaches
//! it, in lines for people and in JSON for programs, and JSON gives back what was meant.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::path::Path;

use crate::support::guest::{self, built, component, guest};
use crate::support::{Layer, Scene, docker, fixture_image};

/// Clears the screen, writes a title, goes back in the line, turns text around, hides it, ends it.
const HOSTILE: &str = "a\u{1b}[2Jb\u{1b}]0;t\u{7}c\rd\u{8}e\u{202e}f\u{2066}g\u{200b}h\u{feff}i\u{9b}31mj\u{7f}k\u{2028}l\u{e0041}m";
/// What of it shows that it was told at all.
const SHOWN: &str = "[2Jb";

/// The characters that must not be there: controls but the end of a line, and what Unicode hides or reorders.
fn raw(text: &str) -> Vec<char> {
    let hidden = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().filter(|c| (c.is_control() && *c != '\n') || hidden(*c)).collect()
}

/// As a string of TOML.
fn toml(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

fn definition(image: &str, readiness: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = {image}\n[interface]\nkind = \"none\"\n[readiness]\n{readiness}\n"
    )
}

#[test]
fn what_a_definition_says_reaches_people_and_programs_escaped() {
    let text = toml(HOSTILE);
    let probe = "probe = \"./mine.wasm\"";
    let good = component(&guest(guest::READY));
    let raw_bytes = format!("image = \"x{HOSTILE}\"\n").into_bytes();
    let tables: Vec<(&str, String)> = vec![
        ("image", definition(&text, probe)),
        ("probe", definition("\"x\"", &format!("probe = {text}"))),
        ("path", definition("\"x\"", &format!("probe = {}", toml(&format!("./{HOSTILE}.wasm"))))),
        ("unknown key", definition("\"x\"", &format!("{probe}\n{text} = 1"))),
        ("setting", definition("\"x\"", &format!("{probe}\nsettings = {{ {text} = {text} }}"))),
        ("pin", definition("\"x\"", &format!("{probe}\nsha256 = {text}"))),
        ("grant", definition("\"x\"", &format!("{probe}\ngrants = {{ dial = [{text}], env = [{text}] }}"))),
        (
            "folder",
            definition(
                "\"x\"",
                &format!("{probe}\ngrants = {{ dirs = [{{ host = {text}, guest = {text} }}] }}"),
            ),
        ),
        ("duration", definition("\"x\"", &format!("{probe}\ntimeout = {text}"))),
        ("limit", definition("\"x\"", &format!("{probe}\nlimits = {{ memory = {text} }}"))),
        ("kind", definition("\"x\"", probe).replace("\"none\"", &text)),
        (
            "alias",
            definition("\"x\"", probe)
                .replace("kind = \"none\"", &format!("kind = \"port\"\nport = 1\naliases = [{text}]")),
        ),
        ("network", format!("networks = [{text}]\n{}", definition("\"x\"", probe))),
        ("mount", format!("mounts = [{text}]\n{}", definition("\"x\"", probe))),
        ("variable", format!("env = {{ {text} = {text} }}\n{}", definition("\"x\"", probe))),
        ("lifecycle", definition("\"x\"", probe).replace("\"shared\"", &text)),
    ];
    for (name, content) in tables {
        tells_nothing_raw(name, "db.toml", content.as_bytes(), &good);
    }
    tells_nothing_raw("bytes of a file", "db.toml", &raw_bytes, &good);
    tells_nothing_raw(
        "bytes of YAML",
        "db.yaml",
        format!("image: \"{HOSTILE}\"\n{HOSTILE}: 1\n").as_bytes(),
        &good,
    );
    tells_nothing_raw("a file's name", &format!("{}.toml", HOSTILE.replace('/', "")), b"image = 5", &good);
    let import = guest::with_imports("(import \"a:b/c\" (instance))", guest::READY, "");
    tells_nothing_raw("an import", "db.toml", definition("\"x\"", probe).as_bytes(), &component(&import));
}

/// Whatever `validate` and `plan` say of a layer with this file, for people, for programs and as events.
fn tells_nothing_raw(name: &str, file: &str, content: &[u8], probe: &[u8]) {
    let scene = Scene::new();
    scene.define_in(Layer::User, "mine.wasm", probe);
    scene.define_in(Layer::User, file, content);
    let events = scene.path("events.jsonl");
    for format in ["human", "json"] {
        let outcome = scene.farrier(["validate", "--format", format, "--events"]).arg(&events).output();
        for told in [outcome.stdout(), outcome.stderr()] {
            assert_eq!(raw(&told), Vec::<char>::new(), "{name}, {format}: {told:?}");
        }
        if format == "json" {
            let told: serde_json::Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
            assert!(told.is_object(), "{name}");
        }
    }
    if Path::new(&events).exists() {
        let told = std::fs::read_to_string(&events).expect("events");
        assert_eq!(raw(&told), Vec::<char>::new(), "{name}: {told:?}");
    }
}

#[test]
fn what_a_probe_answers_traces_and_asks_for_reaches_people_and_programs_escaped() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = format!("\"{}\"", fixture_image());
    scene.define_in(Layer::User, "mine.wasm", built("hostile"));
    let grants = "grants = { dial = [\"db:1\"], exec = [[\"x\"]], logs = true }";
    for (number, attempt) in [
        format!("try = \"reason\", with = {}", toml(HOSTILE)),
        format!("try = \"dial\", with = [{}, 1]", toml(HOSTILE)),
        format!("try = \"exec\", with = [{}]", toml(HOSTILE)),
        "try = \"logs\", with = 10".to_owned(),
        "try = \"print-bytes\", with = 50".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let readiness =
            format!("probe = \"./mine.wasm\"\nsettings = {{ {attempt} }}\ntimeout = \"1s\"\n{grants}");
        let content = definition(&image, &readiness)
            .replace("dial = [\"db:1\"]", "dial = [\"self\"]")
            .replace("kind = \"none\"", "kind = \"port\"\nport = 7000")
            .replacen(
                "[interface]",
                &format!(
                    "command = [\"serve\", \"--port\", \"7000\", \"--log\", {}]\n[interface]",
                    toml(HOSTILE)
                ),
                1,
            );
        scene.define("db", &content);
        let events = scene.path(format!("events-{number}.jsonl"));
        let outcome = scene.farrier(["up", "-vv", "--events"]).arg(&events).output();
        let told = outcome.stderr();
        assert_eq!(raw(&told), Vec::<char>::new(), "{attempt}: {told:?}");
        let written = std::fs::read_to_string(&events).expect("events");
        assert_eq!(raw(&written), Vec::<char>::new(), "{attempt}: {written:?}");
        if number < 3 {
            assert!(told.contains(SHOWN), "{attempt}: {told}");
            let meant = written.lines().any(|line| {
                let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
                event.to_string().contains('\u{202e}')
            });
            assert!(meant, "{attempt}: a program gets what was meant: {written}");
        }
        for options in [["ps", "--format", "human"], ["ps", "--format", "json"]] {
            let told = scene.farrier(options).output().stdout();
            assert_eq!(raw(&told), Vec::<char>::new(), "{options:?}: {told:?}");
        }
    }
}

#[test]
fn labels_of_a_container_reach_people_and_programs_escaped() {
    let Some(scene) = Scene::with_docker() else { return };
    let (name, image) = (scene.container("odd"), fixture_image());
    let labels = ["sidecar", "definition", "config-hash", "configuration", "layer"];
    let labels: Vec<String> = labels.iter().map(|key| format!("--label=farrier.{key}={HOSTILE}")).collect();
    let mut arguments = vec!["create", "--name", &name];
    arguments.extend(labels.iter().map(String::as_str));
    arguments.extend([image.as_str(), "wait"]);
    docker(arguments);
    scene.define("odd", &definition(&format!("\"{image}\""), "probe = \"skip\""));
    for options in
        [&["ps"][..], &["ps", "--format", "json"], &["plan"], &["plan", "--format", "json"], &["down", "odd"]]
    {
        let outcome = scene.farrier(options).output();
        for told in [outcome.stdout(), outcome.stderr()] {
            assert_eq!(raw(&told), Vec::<char>::new(), "{options:?}: {told:?}");
        }
    }
    docker(["rm", "--force", &name]);
}
