//! Launches of sidecars whose probes are in registries, as programs of this host.

use std::fs;

use super::setup::{Published, definition, digest, other, ready};
use crate::programs::setup::Programs;
use crate::support::http::Server;
use crate::support::{Layer, assert_output, fixture_program};

/// A definition of a program that runs until it is ended, with these lines about its readiness.
fn waiting(readiness: &str) -> String {
    let program = fixture_program();
    format!(
        "program = ['{}', 'wait']\n[interface]\nkind = 'none'\n[readiness]\n{readiness}",
        program.display()
    )
}

#[test]
fn a_launch_downloads_what_trusted_definitions_pin_once_and_then_asks_nobody() {
    let programs = Programs::new();
    let mut published = Published::default();
    let manifest = published.publish("acme/x", "1", &ready());
    let component = digest(&ready()).trim_start_matches("sha256:").to_owned();
    let registry = Server::start(move |request| published.answer(request));
    let address = &registry.address;
    programs.define("one", &waiting(&format!("probe = 'oci://{address}/acme/x@{manifest}'")));
    programs.define("two", &waiting(&format!("probe = 'oci://{address}/acme/x:1'\nsha256 = '{component}'")));
    // Only a launch downloads.
    let told = programs.farrier(["validate"]).output().assert_code(125).stdout();
    assert_eq!(told.matches("error[probe-not-pulled]").count(), 2, "{told}");
    assert_eq!(registry.requests().len(), 0);
    let up = programs.farrier(["up"]).output().assert_code(0);
    let name = programs.scene.name("one");
    assert!(up.stderr().contains(&format!("{name}: pulling oci://{address}/acme/x@sha256:")), "{up}");
    assert_eq!(registry.count("/blobs/"), 1, "both are the same bytes");
    let before = registry.requests().len();
    programs.farrier(["up"]).output().assert_code(0);
    programs.farrier(["validate"]).output().assert_code(0);
    assert_eq!(registry.requests().len(), before, "what is pinned and in the cache needs no registry");
}

#[test]
fn a_tag_that_moved_is_refused_where_the_definition_pins_the_component() {
    let programs = Programs::new();
    let mut published = Published::default();
    published.publish("acme/x", "1", &other());
    let pinned = digest(&ready()).trim_start_matches("sha256:").to_owned();
    let registry = Server::start(move |request| published.answer(request));
    let probe = format!("probe = 'oci://{}/acme/x:1'\nsha256 = '{pinned}'", registry.address);
    programs.define("one", &waiting(&probe));
    let up = programs.farrier(["up"]).output().assert_code(2);
    assert_output!(up, @"
    exit code 2
    --- stdout
    --- stderr
    farrier: one-[TOKEN]: pulling oci://127.0.0.1:[PORT]/acme/x:1
    error[probe-tag-moved]: `oci://127.0.0.1:[PORT]/acme/x:1` is the component [ID] now, but [ID] is pinned
     --> [SCENE]/config/farrier/sidecars/one-[TOKEN].toml:6:9
      |
    6 | probe = 'oci://127.0.0.1:[PORT]/acme/x:1'
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Find out who moved the tag; if the change is wanted, write its SHA-256 as the pin.
    ");
    assert!(!up.stderr().contains("probe-not-pulled"), "one reason is enough: {up}");
    assert_eq!(registry.count("/blobs/"), 0);
    assert!(programs.all().is_empty());
    // The registry is away, and so are the bytes.
    let probe = format!("probe = 'oci://127.0.0.1:1/acme/x:1'\nsha256 = '{pinned}'");
    programs.define("one", &waiting(&probe));
    let up = programs.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: one-[TOKEN]: pulling oci://127.0.0.1:1/acme/x:1
    error[registry-failed]: the probe `oci://127.0.0.1:1/acme/x:1` is unavailable: the registry at 127.0.0.1:1 does not answer: Connection refused (os error 111)
     --> [SCENE]/config/farrier/sidecars/one-[TOKEN].toml:6:9
      |
    6 | probe = 'oci://127.0.0.1:1/acme/x:1'
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Check that 127.0.0.1:1 can be reached from this host; HTTPS_PROXY names a proxy.
    ");
}

#[test]
fn a_launch_downloads_nothing_for_a_workspace_and_nothing_for_sidecars_that_take_no_part() {
    let programs = Programs::new();
    let mut published = Published::default();
    let manifest = published.publish("acme/x", "1", &ready());
    let registry = Server::start(move |request| published.answer(request));
    let probe = format!("probe = 'oci://{}/acme/x@{manifest}'", registry.address);
    let text = format!("lifecycle = 'shared'\nprofiles = ['other']\n{}", waiting(&probe));
    let name = programs.scene.name("of-user");
    programs.scene.define_in(Layer::User, &format!("{name}.toml"), &text);
    programs.farrier(["up"]).output();
    assert_eq!(registry.requests().len(), 0, "it takes no part");
    fs::remove_file(programs.scene.layer(Layer::User).join(format!("{name}.toml"))).expect("removed");
    let text = definition(&format!("oci://{}/acme/x@{manifest}", registry.address), "");
    programs.scene.define_in(Layer::Workspace, "of-workspace.toml", &text);
    let up = programs.farrier(["up", "--no-prompt"]).output().assert_code(125);
    assert_output!(up, @r#"
    exit code 125
    --- stdout
    --- stderr
    error[probe-not-pulled]: the probe `oci://127.0.0.1:[PORT]/acme/x@[ID]` is not in the cache
     --> [SCENE]/workspace/.farrier/sidecars/of-workspace.toml:6:9
      |
    6 | ... = "oci://127.0.0.1:[PORT]/acme/x@[ID]"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Run `farrier probe pull`, which downloads it from 127.0.0.1:[PORT]; nothing else contacts that registry.
      = help: Without a network, copy the component beside the definition and name the file: `probe = "./x.wasm"`.
    "#);
    assert_eq!(registry.requests().len(), 0, "nobody approved it");
}
