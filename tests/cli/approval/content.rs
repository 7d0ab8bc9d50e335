//! What an approval is for: every part of a definition, and what it brings along.

use sha2::{Digest, Sha256};

use super::setup::{PLAIN, approve, declare, json, state, unattended};
use crate::support::guest::{self, component, validating, with_imports};
use crate::support::{Layer, Scene, assert_output};

fn refused(scene: &Scene) -> String {
    unattended(scene, &["up", "--no-prompt"]).output().assert_code(125).stderr()
}

#[test]
fn a_change_asks_again_and_is_named() {
    let scene = Scene::new().isolated();
    declare(&scene, PLAIN);
    approve(&scene);
    for (from, to, changed) in [
        ("A = \"one\"", "A = \"two\"", "env A"),
        ("A = \"one\"", "A = \"one\", B = \"x\"", "env B"),
        ("postgres:16", "postgres:17", "image"),
        ("port = 5432", "port = 5433", "reached"),
        ("probe = \"tcp\"", "probe = \"skip\"", "readiness: probe"),
        ("[interface]", "unheard-of = 1\n[interface]", "something that farrier does not use"),
    ] {
        declare(&scene, &PLAIN.replace(from, to));
        let told = refused(&scene);
        assert!(told.contains(&format!("it has changed since you approved it: {changed}")), "{to}: {told}");
    }
    declare(&scene, &PLAIN.replace("[interface]", "# a comment\n\n[interface]"));
    assert_eq!(state(&scene)["approved"], true, "a comment changes nothing");
}

/// A workspace probe of these bytes, with this pin.
fn declare_probe(scene: &Scene, bytes: &[u8], pin: &str) {
    scene.define_in(Layer::Workspace, "mine.wasm", bytes);
    declare(
        scene,
        &PLAIN.replace("probe = \"tcp\"", &format!("probe = \"./mine.wasm\"\nsha256 = \"{pin}\"")),
    );
}

fn pin(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_component_is_not_run_before_it_is_approved() {
    let scene = Scene::new().isolated();
    let broken = component(&with_imports("", guest::READY, &validating("")));
    declare_probe(&scene, &broken, &pin(&broken));
    let validate = || unattended(&scene, &["validate", "--format", "json"]).output();
    let report = json(&validate().assert_code(0));
    assert!(
        report["problems"][0]["message"].as_str().is_some_and(|told| told.contains("was not run")),
        "{report:#}"
    );
    approve(&scene);
    let report = json(&validate().assert_code(125));
    assert_eq!(report["problems"][0]["code"], "probe-crashed", "{report:#}");
}

#[test]
fn one_byte_of_a_component_is_refused_by_the_pin_and_then_asks_again() {
    let scene = Scene::new().isolated();
    let mut bytes = component(&guest::guest(guest::READY));
    declare_probe(&scene, &bytes, &pin(&bytes));
    approve(&scene);
    let digest = pin(&bytes);
    assert!(state(&scene)["statement"].to_string().contains(&digest), "the digest is shown");
    // In the text of a reason: a component still.
    let text = b"a reason from the guest";
    let place = bytes.windows(text.len()).position(|part| part == text).expect("the text");
    bytes[place] ^= 1;
    declare_probe(&scene, &bytes, &digest);
    let outcome = unattended(&scene, &["up", "--no-prompt"]).output().assert_code(2);
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    --- stderr
    error[probe-pin-mismatch]: the probe `./mine.wasm` has the digest [ID], but [ID] is pinned
     --> [SCENE]/workspace/.farrier/sidecars/db-[TOKEN].toml:9:10
      |
    9 | sha256 = "[ID]"
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Find out who changed the file; if the change is wanted, write its digest as the pin.
    "#);
    declare_probe(&scene, &bytes, &pin(&bytes));
    let told = refused(&scene);
    assert!(told.contains("it has changed since you approved it: readiness: probe"), "{told}");
}

#[test]
fn the_content_of_a_granted_folder_is_part_of_it() {
    let scene = Scene::new().isolated();
    let bytes = component(&guest::guest(guest::READY));
    scene.define_in(Layer::Workspace, "mine.wasm", &bytes);
    let folder = scene.layer(Layer::Workspace).join("certs");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("ca.pem"), "one").expect("a file");
    let readiness = format!(
        "probe = \"./mine.wasm\"\nsha256 = \"{}\"\ngrants = {{ dirs = [{{ host = \"certs\", guest = \"/certs\" }}] }}",
        pin(&bytes)
    );
    declare(&scene, &PLAIN.replace("probe = \"tcp\"", &readiness));
    approve(&scene);
    std::fs::write(folder.join("ca.pem"), "two").expect("a file");
    let told = refused(&scene);
    assert!(told.contains("it has changed since you approved it: readiness: may read"), "{told}");
    std::fs::write(folder.join("ca.pem"), "one").expect("a file");
    assert_eq!(state(&scene)["approved"], true);
}

#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    let scene = Scene::new().isolated();
    let hostile = "A = \"\\u001B[2J\\u202Eevil\\nimage  good\\r\"";
    declare(&scene, &PLAIN.replace("A = \"one\"", hostile));
    let check = |shown: &str| {
        for character in shown.chars() {
            let odd = character.is_control() && !matches!(character, '\n' | '\r');
            assert!(!odd && character != '\u{202e}', "{character:?} in {shown:?}");
        }
        assert!(shown.contains("\\u001b[2J\\u{202e}evil\\nimage  good\\r"), "{shown}");
    };
    check(&unattended(&scene, &["approve"]).output().assert_code(125).stdout());
    let mut asking = scene.farrier(["approve", "--color", "never"]).spawn_on_terminal(100, 40);
    asking.wait_for_stdout("[y/N] ");
    asking.type_text("n\n");
    check(&asking.wait().assert_code(125).stdout());
}
