//! Registries that lie: each is told, and nothing of it is kept or run.

use serde_json::{Value, json};

use super::setup::{Published, Scenery, digest, ready};
use crate::support::assert_output;
use crate::support::http::{Reply, Server};

/// Pulls what is served as `x:1`, which fails like this, and leaves nothing. Gives the requests.
fn fails(published: Published, code: &str, text: &str) -> usize {
    let scenery = Scenery::new();
    let registry = Server::start(move |request| published.answer(request));
    let reference = format!("oci://{}/x:1", registry.address);
    let exit = if code == "registry-failed" { 125 } else { 2 };
    let outcome = scenery.farrier(&["probe", "pull", &reference]).output().assert_code(exit);
    let told = outcome.stderr();
    assert!(told.contains(&format!("error[{code}]")), "{text}: {outcome}");
    assert!(told.contains(text) && told.contains("help: "), "{text}: {outcome}");
    assert!(!scenery.scene.workspace().join("x.wasm").exists(), "{text}");
    assert!(!scenery.scene.cache_home().join("farrier/probes").exists(), "{text}");
    registry.count("/blobs/")
}

#[test]
fn lies_of_registries_are_told_and_nothing_of_them_is_kept() {
    let component = ready();
    let (layer, size) = (digest(&component), component.len());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut published = Published::default();
        let mut manifest = published.manifest(&ready());
        change(&mut manifest);
        published.document("x", "1", manifest.to_string().as_bytes());
        published
    };
    let served = |manifest: &[u8]| {
        let mut published = Published::default();
        published.document("x", "1", manifest);
        published
    };
    let with_blob = |bytes: Vec<u8>| {
        let mut published = changed(&|_| ());
        published.blobs.insert(layer.clone(), bytes);
        published
    };
    let mut flipped = component.clone();
    flipped[size - 1] ^= 1;
    let mut longer = component.clone();
    longer.push(0);
    let image = "application/vnd.oci.image.config.v1+json";
    for (published, text, downloads) in [
        // What the manifest says alone, before anything is downloaded.
        (
            changed(&|it| it["layers"][0]["size"] = json!(1_u64 << 30)),
            "has 1024 MiB, but farrier accepts at most 64 MiB",
            0,
        ),
        (changed(&|it| it["layers"][0]["size"] = Value::Null), "does not say how large", 0),
        (changed(&|it| it["layers"][0]["size"] = json!(-1)), "cannot be read", 0),
        (changed(&|it| it["layers"][0]["digest"] = json!("sha256:../../x")), "is not a digest", 0),
        (
            changed(&|it| it["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar")),
            "instead of `application/wasm`",
            0,
        ),
        (changed(&|it| it["layers"] = json!([])), "has 0 layers", 0),
        (changed(&|it| it["layers"] = json!([it["layers"][0], it["layers"][0]])), "has 2 layers", 0),
        (changed(&|it| it["config"]["mediaType"] = json!(image)), "vnd.wasm.config.v0+json", 0),
        (changed(&|it| it["manifests"] = json!([])), "is also an index", 0),
        (served(br#"{"schemaVersion":2,"manifests":[]}"#), "is an index", 0),
        (served(b"<html>"), "cannot be read", 0),
        (served(&vec![b' '; 5 << 20]), "sent more than 4096 KiB", 0),
        // What comes is not what the manifest says.
        (changed(&|it| it["layers"][0]["size"] = json!(size - 1)), "has more than", 1),
        (with_blob(flipped), "the component's digest is", 1),
        (with_blob(longer), "has more than", 1),
    ] {
        assert_eq!(fails(published, "probe-artifact", text), downloads, "{text}");
    }
    // It always ends too early.
    let short = changed(&|it| it["layers"][0]["size"] = json!(size + 1));
    assert_eq!(fails(short, "registry-failed", "ends after"), 4);
    // Honest, but no probe.
    let mut published = Published::default();
    published.publish("x", "1", b"\0asm\x0d\0\x01\0");
    fails(published, "probe-invalid", "not a probe");
    fails(Published::default(), "probe-not-found", "the registry has no `oci://");
}

#[test]
fn a_pinned_digest_is_checked_whatever_the_registry_sends() {
    let scenery = Scenery::new();
    let mut published = Published::default();
    let digest = published.publish("x", "1", &ready());
    published.blobs.insert(digest.clone(), b"{}".to_vec());
    let registry = Server::start(move |request| published.answer(request));
    let reference = format!("oci://{}/x@{digest}", registry.address);
    let outcome = scenery.farrier(&["probe", "pull", &reference]).output().assert_code(2);
    assert_output!(outcome, @"
    exit code 2
    --- stdout
    --- stderr
    error[probe-artifact]: the probe `oci://127.0.0.1:[PORT]/x@[ID]` is unavailable: the digest of the manifest is [ID], not [ID]
     |
     = help: Push the probe to the registry again, or name another version.
    ");
}

#[test]
fn a_registry_leads_nowhere_that_only_this_machine_reaches() {
    let scenery = Scenery::new();
    let elsewhere = "http://169.254.169.254/latest/meta-data";
    for (reply, code, text) in [
        (Reply::status(307).header("location", elsewhere), 2, "leads to 169.254.169.254"),
        (Reply::status(307).header("location", "http://0.0.0.0:1/x"), 2, "leads to 0.0.0.0"),
        (Reply::status(307).header("location", "file:///etc/passwd"), 2, "does not follow"),
        (
            Reply::status(401).header("www-authenticate", &format!("Bearer realm=\"{elsewhere}\"")),
            2,
            "leads to 169.254.169.254",
        ),
        (Reply::status(503), 125, "503 Service Unavailable"),
        (Reply::status(403), 125, "403 Forbidden"),
    ] {
        let registry = Server::start(move |request| match request.path() {
            "/v2/" => Reply::ok("{}"),
            _ => reply.clone(),
        });
        let reference = format!("oci://{}/x:1", registry.address);
        let outcome = scenery.farrier(&["probe", "pull", &reference]).output().assert_code(code);
        assert!(outcome.stderr().contains(text) && outcome.stderr().contains("help: "), "{text}: {outcome}");
    }
}

#[test]
fn a_push_goes_on_at_the_registry_alone() {
    let scenery = Scenery::new();
    let file = scenery.file("mine.wasm", ready());
    for (location, text) in [
        ("http://169.254.169.254/upload", "leads to 169.254.169.254"),
        ("file:///etc/passwd", "names no usable place"),
        ("", "names no usable place"),
    ] {
        let registry = Server::start(move |request| match request.first[0].as_str() {
            "POST" => Reply::status(202).header("location", location),
            "GET" => Reply::ok("{}"),
            _ => Reply::status(404),
        });
        let reference = format!("oci://{}/x:1", registry.address);
        let outcome = scenery.farrier(&["probe", "push", &file, &reference]).output().assert_code(125);
        assert!(outcome.stderr().contains("error[registry-failed]"), "{text}: {outcome}");
        assert!(outcome.stderr().contains(text), "{text}: {outcome}");
    }
}
