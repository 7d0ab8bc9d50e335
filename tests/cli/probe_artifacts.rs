//! Probes in registries: pushed, pulled, pinned and updated, on a real registry and on ones that answer what no real one would.

mod hostile;
mod launching;
mod lock;
mod setup;

use std::fs;

use serde_json::Value;

use self::setup::{Published, Scenery, other, ready, versioned};
use crate::support::http::{Reply, Server};
use crate::support::registry::{self, Registry, client_configuration};
use crate::support::{Layer, Scene, assert_output};

/// A real registry, and a reference to a probe there.
struct Real {
    scenery: Scenery,
    registry: Registry,
    reference: String,
}

impl Real {
    /// None, and a loud message, where the registry's program cannot be had.
    fn start() -> Option<Self> {
        let scenery = Scenery::new();
        let registry = registry::start(&scenery.scene)?;
        let reference = format!("oci://{}/acme/orders-ready:1", registry.address);
        Some(Self { scenery, registry, reference })
    }

    /// Also has the right credentials, a pushed probe, and a user definition that names its tag.
    fn with_a_probe() -> Option<Self> {
        let real = Self::start()?;
        real.scenery.log_in(&client_configuration(&real.registry.address, true));
        real.push(&versioned(ready(), "1.0.0"), 0);
        real.scenery.define("orders", &real.reference);
        Some(real)
    }

    fn push(&self, component: &[u8], code: i32) -> String {
        let file = self.scenery.file("pushed.wasm", component);
        self.told(&["probe", "push", &file, &self.reference], code)
    }

    fn told(&self, words: &[&str], code: i32) -> String {
        let outcome = self.scenery.farrier(words).output().assert_code(code);
        outcome.to_string().replace(&self.registry.address, "[REGISTRY]")
    }
}

#[test]
fn a_probe_is_pushed_with_the_users_credentials() {
    let Some(real) = Real::start() else { return };
    let address = &real.registry.address;
    let push = |code| real.push(&ready(), code);
    let denied = push(125);
    assert!(denied.contains("[registry-failed]") && denied.contains("docker login [REGISTRY]"), "{denied}");
    real.scenery.log_in(&client_configuration(address, false));
    let denied = push(125);
    assert!(denied.contains("does not accept the login of `farrier`"), "{denied}");
    real.scenery.log_in(&client_configuration(address, true));
    let pushed = push(0);
    assert_output!(pushed, @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1@[ID]

    Add these lines to a definition:

    [readiness]
    probe = "oci://[REGISTRY]/acme/orders-ready:1@[ID]"
    --- stderr
    "#);
    assert_eq!(push(0), pushed, "who pushes the same gets the same");
}

#[test]
fn a_tag_is_pinned_and_its_move_is_refused_until_it_is_updated() {
    let Some(real) = Real::with_a_probe() else { return };
    let scene = &real.scenery.scene;
    let told = |words: &[&str], code| real.told(words, code);
    // A tag alone pins nothing.
    let unpinned = told(&["validate"], 2);
    assert!(unpinned.contains("[probe-unpinned]") && unpinned.contains("farrier probe pin"), "{unpinned}");
    assert_output!(told(&["probe", "pin"], 0), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1 is pinned now: [ID]
    wrote [SCENE]/config/farrier/sidecars/probes.lock
    --- stderr
    "#);
    assert_output!(told(&["probe", "pin"], 0), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1 is pinned already: [ID]
    --- stderr
    "#);
    assert_output!(told(&["validate"], 0), @r#"
    exit code 0
    --- stdout
    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 0 errors, 0 warnings
    --- stderr
    "#);
    assert_output!(told(&["probe", "pull"], 0), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1 is in the cache: sha256 [ID]
    --- stderr
    "#);
    assert_output!(told(&["probe", "update"], 0), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1 is up to date: [ID]
    --- stderr
    "#);
    let lock = scene.layer(Layer::User).join("probes.lock");
    let first = fs::read_to_string(&lock).expect("a lock");

    // The tag moves: nothing changes here until somebody asks for it.
    real.push(&versioned(other(), "1.1.0"), 0);
    told(&["validate"], 0);
    assert_output!(told(&["probe", "pin"], 2), @r#"
    exit code 2
    --- stdout
    --- stderr
    error[probe-tag-moved]: the tag of `oci://[REGISTRY]/acme/orders-ready:1` moved: it names [ID] now, but [ID] is pinned
     |
     = help: See what changed with `farrier probe update --dry-run`.
     = help: If you trust the change, pin it with `farrier probe update`.
    "#);
    let update = told(&["probe", "update", "--dry-run"], 0);
    assert_output!(update, @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1, the probe of `orders-[TOKEN]`, changed:
      - version  1.0.0
      + version  1.1.0
      - digest   [ID]
      + digest   [ID]
      - sha256   [ID]
      + sha256   [ID]
      - size     0.6 KiB (702 bytes)
      + size     0.8 KiB (858 bytes)
      + imports  farrier:probe/logs@0.1.0: reads what the container wrote since its start
      - needs    no grants
      + needs    grants = { logs = true }
    Nothing was written, because this is a dry run.
    --- stderr
    "#);
    assert_eq!(fs::read_to_string(&lock).expect("a lock"), first);
    assert_output!(told(&["probe", "update", &scene.name("orders")], 0), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/orders-ready:1, the probe of `orders-[TOKEN]`, changed:
      - version  1.0.0
      + version  1.1.0
      - digest   [ID]
      + digest   [ID]
      - sha256   [ID]
      + sha256   [ID]
      - size     0.6 KiB (702 bytes)
      + size     0.8 KiB (858 bytes)
      + imports  farrier:probe/logs@0.1.0: reads what the container wrote since its start
      - needs    no grants
      + needs    grants = { logs = true }
    wrote [SCENE]/config/farrier/sidecars/probes.lock
    --- stderr
    "#);
    assert_ne!(fs::read_to_string(&lock).expect("a lock"), first);
    // The new one wants what nobody granted.
    let refused = told(&["validate"], 2);
    assert!(refused.contains("[probe-not-granted]"), "{refused}");
}

#[test]
fn what_is_pinned_and_in_the_cache_needs_no_registry() {
    let Some(real) = Real::with_a_probe() else { return };
    real.told(&["probe", "pin"], 0);
    let Real { scenery, registry, .. } = real;
    let (scene, address) = (&scenery.scene, registry.address.clone());
    // It is away.
    drop(registry);
    let told = |words: &[&str], code| {
        scenery.farrier(words).output().assert_code(code).to_string().replace(&address, "[REGISTRY]")
    };
    told(&["validate"], 0);
    let pulled = told(&["probe", "pull"], 0);
    assert!(pulled.contains("is in the cache"), "{pulled}");
    let away = told(&["probe", "update"], 125);
    assert!(away.contains("[registry-failed]") && away.contains("does not answer"), "{away}");
    fs::remove_dir_all(scene.cache_home().join("farrier/probes")).expect("removed");
    assert_output!(told(&["validate"], 125), @r#"
    exit code 125
    --- stdout
    error[probe-not-pulled]: the probe `oci://[REGISTRY]/acme/orders-ready:1` is not in the cache
     --> [SCENE]/config/farrier/sidecars/orders-[TOKEN].toml:6:9
      |
    6 | probe = "oci://[REGISTRY]/acme/orders-ready:1"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Run `farrier probe pull`, which downloads it from [REGISTRY]; a launch does so by itself.
      = help: Without a network, copy the component beside the definition and name the file: `probe = "./orders-ready.wasm"`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
    let away = told(&["probe", "pull"], 125);
    assert!(away.contains("[registry-failed]") && away.contains("help: "), "{away}");
}

#[test]
fn a_probe_is_pulled_into_a_file_for_a_machine_without_a_network() {
    let scenery = Scenery::new();
    let mut published = Published::default();
    let digest = published.publish("acme/orders-ready", "1", &ready());
    let registry = Server::start(move |request| published.answer(request));
    let scene = &scenery.scene;
    let reference = format!("oci://{}/acme/orders-ready:1", registry.address);
    let told = |words: &[&str]| {
        let outcome = scenery.farrier(words).output().assert_code(0);
        outcome.to_string().replace(&registry.address, "[REGISTRY]")
    };
    assert_output!(told(&["probe", "pull", &reference]), @r#"
    exit code 0
    --- stdout
    ./orders-ready.wasm: 0.6 KiB (687 bytes), from oci://[REGISTRY]/acme/orders-ready:1@[ID]

    Put it beside a definition, and add these lines to the definition:

    [readiness]
    probe = "./orders-ready.wasm"
    sha256 = "[ID]"
    --- stderr
    "#);
    assert_eq!(fs::read(scene.workspace().join("orders-ready.wasm")).expect("a file"), ready());
    let pinned = format!("{reference}@{digest}");
    told(&["probe", "pull", &pinned, "--out", "there.wasm"]);
    assert_eq!(fs::read(scene.workspace().join("there.wasm")).expect("a file"), ready());
    let inspected = told(&["probe", "inspect", &pinned]);
    assert!(inspected.contains("from a registry") && inspected.contains("probe = \"oci://"), "{inspected}");
    let wrong = scenery.farrier(&["probe", "pull", "oci://orders-ready:1"]).output().assert_code(2);
    assert_output!(wrong, @"
    exit code 2
    --- stdout
    --- stderr
    error[usage]: `oci://orders-ready:1` is not a reference to a probe in a registry: it names no registry, such as `ghcr.io`
     |
     = help: Write `oci://REGISTRY/REPOSITORY:TAG`, or `@sha256:…` in place of the tag.
    ");
}

#[test]
fn a_push_asks_the_token_server_for_a_token_that_may_push() {
    let scenery = Scenery::new();
    let file = scenery.file("mine.wasm", ready());
    let registry = Server::start(|request| {
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"test\"", request.header("host"));
        match (request.first[0].as_str(), request.path(), request.header("authorization")) {
            (_, "/v2/", _) => Reply::ok("{}"),
            (_, path, _) if path.starts_with("/token?") => {
                Reply::ok(if path.contains("push") { r#"{"token":"push"}"# } else { r#"{"token":"pull"}"# })
            }
            ("HEAD", _, "Bearer pull" | "Bearer push") => Reply::status(404),
            ("POST", _, "Bearer push") => Reply::status(202).header("location", "/v2/upload?state=1"),
            ("PUT", _, "Bearer push") => Reply::status(201),
            _ => Reply::status(401).header("www-authenticate", &realm),
        }
    });
    let reference = format!("oci://{}/acme/x:1", registry.address);
    scenery.farrier(&["probe", "push", &file, &reference]).output().assert_code(0);
    assert_eq!(registry.count("/token?service=test&scope=repository%3Aacme%2Fx%3Apull%2Cpush"), 1);
    assert_eq!(registry.count("/v2/upload?state=1&digest=sha256:"), 2);
    assert_eq!(registry.count("/v2/acme/x/manifests/1"), 1);
}

#[test]
fn what_a_definition_pins_itself_is_compared_and_left_to_its_author() {
    let scenery = Scenery::new();
    let scene = &scenery.scene;
    let mut published = Published::default();
    let (old, new) = (versioned(ready(), "1.0.0"), versioned(other(), "2.0.0"));
    let first = published.publish("acme/x", "old", &old);
    let second = published.publish("acme/x", "1", &new);
    let registry = Server::start(move |request| published.answer(request));
    let tagged = format!("oci://{}/acme/x:1", registry.address);
    let update = || {
        let outcome = scenery.farrier(&["probe", "update"]).output().assert_code(0);
        outcome.to_string().replace(&registry.address, "[REGISTRY]")
    };
    let file = scene.define("db", &setup::definition(&format!("{tagged}@{first}"), ""));
    let before = fs::read(&file).expect("a definition");
    assert_output!(update(), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/x:1, the probe of `db-[TOKEN]`, changed:
      - digest   [ID]
      + digest   [ID]
      - sha256   [ID]
      + sha256   [ID]
      - size     0.6 KiB (702 bytes)
      + size     0.8 KiB (858 bytes)
      + imports  farrier:probe/logs@0.1.0: reads what the container wrote since its start
      - needs    no grants
      + needs    grants = { logs = true }
    The definition pins it. If you trust the change, write into [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:
      probe = "oci://[REGISTRY]/acme/x:1@[ID]"
    --- stderr
    "#);
    assert_eq!(fs::read(&file).expect("a definition"), before);
    // Of a component that is nowhere any more, its digest alone is known.
    let absent = format!("sha256 = \"{}\"\n", "0".repeat(64));
    scene.define("db", &setup::definition(&tagged, &absent));
    assert_output!(update(), @r#"
    exit code 0
    --- stdout
    oci://[REGISTRY]/acme/x:1, the probe of `db-[TOKEN]`, changed:
      + version  1.2.3
      + digest   [ID]
      - sha256   [ID]
      + sha256   [ID]
      + size     0.8 KiB (858 bytes)
      The pinned component is gone, so farrier cannot compare what it imports.
    The definition pins it. If you trust the change, write into [SCENE]/config/farrier/sidecars/db-[TOKEN].toml:
      sha256 = "[ID]"
    --- stderr
    "#);
    scene.define("db", &setup::definition(&format!("{tagged}@{second}"), ""));
    let same = update();
    assert!(same.contains("is up to date"), "{same}");
    let none = scenery.farrier(&["probe", "update", "nobody"]).output();
    assert_output!(none, @"
    exit code 125
    --- stdout
    --- stderr
    error[sidecar-not-found]: no definition declares the sidecar `nobody`
     |
     = help: List the definitions with `farrier validate`.
    ");
}

/// As `wkg` reads and writes them: `oci-wasm` reads the configuration into a structure with these fields.
#[test]
fn what_is_pushed_is_what_the_specification_says() {
    let scenery = Scenery::new();
    let storage = scenery.scene.path("storage");
    let Some(registry) = registry::open(&scenery.scene, &storage) else { return };
    let reference = format!("oci://{}/acme/orders-ready:1", registry.address);
    let file = scenery.file("mine.wasm", ready());
    scenery.farrier(&["probe", "push", &file, &reference]).output().assert_code(0);
    let get = |path: &str| {
        crate::support::http::request(
            &registry.address,
            &format!("GET /v2/acme/orders-ready/{path}"),
            "accept: application/vnd.oci.image.manifest.v1+json\r\n",
            b"",
        )
    };
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).expect("JSON") };
    let answer = get("manifests/1");
    assert_eq!(answer.header("content-type"), "application/vnd.oci.image.manifest.v1+json");
    let manifest = json(&answer.body);
    assert_eq!(
        (&manifest["schemaVersion"], &manifest["mediaType"]),
        (&2.into(), &"application/vnd.oci.image.manifest.v1+json".into())
    );
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!((layers.len(), &layers[0]["mediaType"]), (1, &"application/wasm".into()));
    assert_eq!(layers[0]["annotations"]["org.opencontainers.image.title"], "orders-ready.wasm");
    let layer = layers[0]["digest"].as_str().expect("a digest");
    assert_eq!(get(&format!("blobs/{layer}")).body, ready());
    let config = get(&format!("blobs/{}", manifest["config"]["digest"].as_str().expect("a digest"))).body;
    assert_eq!(manifest["config"]["size"], config.len());
    let config = json(&config);
    let expected = serde_json::json!({
        "created": "1970-01-01T00:00:00Z",
        "author": null,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer],
        "component": {
            "exports": ["farrier:probe/check@0.1.0"],
            "imports": ["farrier:probe/types@0.1.0"],
            "target": null,
        },
    });
    assert_eq!(config, expected);
}

#[test]
fn references_that_cannot_be_right_are_told_before_any_registry_is_asked() {
    let scene = Scene::new();
    for (probe, text) in [
        ("oci://orders-ready:1", "names no registry"),
        ("oci://ghcr.io/acme/orders-ready", "neither a tag nor a digest"),
        ("oci://169.254.169.254/latest:1", "link-local"),
        ("oci://ghcr.io/../../etc:1", "separator"),
        ("oci://ghcr.io/x@sha256:12", "the digest must be"),
    ] {
        scene.define_in(Layer::Workspace, "db.toml", setup::definition(probe, ""));
        let outcome = scene.farrier(["validate", "--color", "never"]).output().assert_code(2).stdout();
        assert!(outcome.contains("error[invalid-value]") && outcome.contains(text), "{probe}: {outcome}");
        assert!(outcome.contains("oci://REGISTRY/REPOSITORY:TAG"), "{probe}: {outcome}");
    }
}
