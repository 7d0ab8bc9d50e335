//! Registries that lie: each is told, and nothing of it is kept or run.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::setup::{Pulls, Served};
use crate::support::Image;
use crate::support::http::{Reply, Server};
use crate::support::registry::client_configuration;

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Launches a sidecar of what is served, which fails like this and leaves nothing.
fn fails(pulls: &Pulls, served: Served, reference: &str, code: &str, text: &str) {
    let registry = Server::start(move |request| served.answer(request));
    pulls.serving("box", &format!("{}/{reference}", registry.address), 7001);
    let up = pulls.farrier(["up"]).output().assert_code(125);
    let told = up.stderr();
    assert!(told.contains(&format!("error[{code}]")), "{text}: {up}");
    assert!(told.contains(text) && told.contains("help: "), "{text}: {up}");
    assert_eq!(pulls.images.programs.all(), Vec::<Value>::new());
    for folder in ["layers", "configs", "references", "unfinished"] {
        let left = std::fs::read_dir(pulls.images.store().join("images").join(folder));
        let left: Vec<_> = left.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty(), "{text}: {folder}: {left:?}");
    }
}

#[test]
fn lies_of_registries_are_told_and_nothing_of_them_is_kept() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = || Served::of(&layout);
    let honest = served().document();
    let (layer, config) = (served().layer(), honest["config"]["digest"].as_str().expect("one").to_owned());
    let size = honest["layers"][0]["size"].as_u64().expect("a size");
    let manifest = |change: &dyn Fn(&mut Value)| {
        let mut document = honest.clone();
        change(&mut document);
        served().with_manifest(document.to_string().as_bytes())
    };
    let mut flipped = served().blob(&layer);
    flipped[1000] ^= 1;
    let pinned = format!("box@{}", served().manifest);
    let digest_of_manifest = served().manifest;
    for (served, reference, text) in [
        (manifest(&|it| it["layers"][0]["size"] = json!(size - 1)), "box", "has more than"),
        (manifest(&|it| it["layers"][0]["size"] = json!(size + 1)), "box", "ends after"),
        (manifest(&|it| it["layers"][0]["size"] = json!(1_u64 << 40)), "box", "1024 GiB"),
        (manifest(&|it| it["layers"][0]["size"] = Value::Null), "box", "does not say how large"),
        (manifest(&|it| it["layers"][0]["digest"] = json!("sha256:../../x")), "box", "is not a digest"),
        (manifest(&|it| it["config"]["size"] = json!(1)), "box", "instead of"),
        (manifest(&|it| it["layers"] = json!([])), "box", "names 0 layers"),
        (manifest(&|it| it["manifests"] = json!([])), "box", "is also an index"),
        (served().with_manifest(b"{\"schemaVersion\":1}"), "box", "old form"),
        (served().with_manifest(b"<html>"), "box", "cannot be read"),
        (served().with_manifest(&vec![b' '; 5 << 20]), "box", "sent more than 4096 KiB"),
        (served().with_blob(&layer, flipped), "box", "the digest of the layer"),
        (served().with_blob(&config, "{}"), "box", "the configuration has 2 bytes"),
        (served().with_blob(&digest_of_manifest, "{}"), &pinned, "the digest of the manifest"),
    ] {
        fails(&pulls, served, reference, "image-invalid", text);
    }
}

#[test]
fn indices_lead_to_this_machines_image_and_not_round_and_round() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let honest = Served::of(&layout);
    let media = "application/vnd.oci.image.index.v1+json";
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let entry = |digest: &str, os: &str, architecture: &str| {
        let size = honest.blob(digest).len();
        json!({"digest": digest, "size": size, "platform": {"os": os, "architecture": architecture}})
    };
    let index = |entries: Vec<Value>| json!({"schemaVersion": 2, "manifests": entries}).to_string();
    // For other machines alone.
    let others = ["s390x", "unknown"].map(|machine| entry(&honest.manifest, machine, machine));
    let served = Served::of(&layout).with_manifest(index(others.to_vec()).as_bytes());
    fails(&pulls, served, "box", "wrong-architecture", "it is built only for s390x/s390x\n");
    let served = Served::of(&layout).with_manifest(index(Vec::new()).as_bytes());
    fails(&pulls, served, "box", "wrong-architecture", "names no image");
    // Indices in one another, deeper than anybody makes them.
    let mut served = Served::of(&layout);
    let mut text = index(vec![entry(&honest.manifest, "linux", machine)]);
    for _ in 0..8 {
        let digest = digest(text.as_bytes());
        served = served.with_blob(&digest, text.clone());
        text = index(vec![json!({"digest": digest, "size": text.len(), "mediaType": media})]);
    }
    fails(&pulls, served.with_manifest(text.as_bytes()), "box", "image-invalid", "refer to each other");
    // The image of this machine, behind one of another.
    let own =
        index(vec![entry(&honest.layer(), "linux", "s390x"), entry(&honest.manifest, "linux", machine)]);
    let served = Served::of(&layout).with_manifest(own.as_bytes());
    let registry = Server::start(move |request| served.answer(request));
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    assert_eq!(pulls.ask("box"), "pong\n");
}

#[test]
fn a_registry_that_cannot_answer_or_leads_astray_is_told() {
    let pulls = Pulls::new();
    let limited = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    for (reply, code, text) in [
        (
            Reply { body: limited.into(), ..Reply::status(429) },
            "image-unavailable",
            "429 Too Many Requests: slow down",
        ),
        (Reply::status(503), "image-unavailable", "503 Service Unavailable"),
        (Reply::status(403), "image-denied", "403 Forbidden"),
        (Reply::status(401), "image-denied", "requires a login"),
        (Reply::status(418), "image-invalid", "418"),
        (Reply::status(307).header("location", "/v2/"), "image-invalid", "redirects again and again"),
        (Reply::status(307).header("location", "file:///etc/passwd"), "image-invalid", "does not follow"),
    ] {
        let registry = Server::start(move |_| reply.clone());
        pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
        let up = pulls.farrier(["up"]).output().assert_code(125);
        assert!(up.stderr().contains(&format!("error[{code}]")), "{text}: {up}");
        assert!(up.stderr().contains(text) && up.stderr().contains("help: "), "{text}: {up}");
    }
}

#[test]
fn credentials_do_not_follow_a_redirection_to_another_host() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let content = Served::of(&layout);
    let elsewhere = Server::start(move |request| content.answer(request));
    let (served, other) = (Served::of(&layout), elsewhere.address.clone());
    let registry = Server::start(move |request| {
        if request.header("authorization").is_empty() {
            return Reply::status(401).header("www-authenticate", "Basic realm=\"test\"");
        }
        if request.path().contains("/blobs/") {
            return Reply::status(307).header("location", &format!("http://{other}{}", request.path()));
        }
        served.answer(request)
    });
    pulls.log_in(&client_configuration(&registry.address, true));
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    pulls.farrier(["up"]).output().assert_code(0);
    let requests = elsewhere.requests();
    assert_eq!(requests.len(), 2, "the configuration and the layer: {requests:?}");
    assert!(requests.iter().all(|request| request.header("authorization").is_empty()), "{requests:?}");
}

/// A registry may send farrier anywhere, and whoever answers there may ask who it is: that is not the registry's question.
#[test]
fn a_host_behind_a_redirection_gets_no_credentials_for_asking() {
    for challenge in
        ["Basic realm=\"test\"".to_owned(), "Bearer realm=\"http://HERE/token\",service=\"x\"".to_owned()]
    {
        let pulls = Pulls::new();
        let asking = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
        let (challenge, here) = (challenge.clone(), std::sync::Arc::clone(&asking));
        let elsewhere = Server::start(move |request| {
            if request.path().starts_with("/token") {
                return Reply::ok("{\"token\":\"t\"}");
            }
            let challenge = challenge.replace("HERE", here.get().map_or("", String::as_str));
            Reply::status(401).header("www-authenticate", &challenge)
        });
        asking.set(elsewhere.address.clone()).expect("set once");
        let other = elsewhere.address.clone();
        let registry = Server::start(move |request| {
            Reply::status(307).header("location", &format!("http://{other}{}", request.path()))
        });
        pulls.log_in(&client_configuration(&registry.address, true));
        pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
        let outcome = pulls.farrier(["up"]).output().assert_code(125);
        assert!(outcome.stderr().contains("which requires a login of its own"), "{outcome}");
        let requests = elsewhere.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| !request.path().starts_with("/token")));
        assert!(requests.iter().all(|request| request.header("authorization").is_empty()), "{requests:?}");
    }
}
