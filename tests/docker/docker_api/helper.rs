//! Throwaway helpers.

use std::collections::BTreeMap;
use std::io::Write;

use farrier::engine::EngineErrorKind::Refused;
use farrier::engine::docker::api::ContainerSpec;
use farrier::system::digest::sha256_hex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::setup::{TestEngine, contract, kind, words};

contract! {
    a_helper_is_unprivileged,
    a_helper_answers_over_its_standard_streams_and_goes_when_its_input_ends,
    an_archive_of_images_is_loaded,
}

fn helper(test_engine: &dyn TestEngine, command: &[&str]) -> ContainerSpec {
    ContainerSpec { entrypoint: words(&["/fixture"]), helper: true, ..test_engine.spec("helper", command) }
}

async fn a_helper_is_unprivileged(test_engine: &dyn TestEngine) {
    let id = test_engine.engine().create(&helper(test_engine, &["cat"])).await.expect("a helper");
    let made = test_engine.inspect(&id).await;
    let expected = [
        ("AutoRemove", "true"),
        ("CapDrop", "[\"ALL\"]"),
        ("PidsLimit", "8192"),
        ("SecurityOpt", "[\"no-new-privileges\"]"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(made.privileges, BTreeMap::from(expected));
    assert_eq!(made.process.user, "65534:65534");
    assert_eq!(made.mounts, []);
}

async fn a_helper_answers_over_its_standard_streams_and_goes_when_its_input_ends(
    test_engine: &dyn TestEngine,
) {
    test_engine.network("net").await;
    let id = test_engine.engine().create(&helper(test_engine, &["cat"])).await.expect("a helper");
    let mut attached = test_engine.engine().attach(&id).await.expect("its streams");
    test_engine.engine().start(&id).await.expect("it starts");
    for text in [b"ping\n", b"pong\n"] {
        attached.input.write_all(text).await.expect("it reads");
        attached.input.flush().await.expect("it reads");
        let mut answer = [0; 5];
        attached.output.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(&answer, text);
    }
    drop(attached);
    test_engine.gone(&id).await;
}

async fn an_archive_of_images_is_loaded(test_engine: &dyn TestEngine) {
    let engine = test_engine.engine();
    assert_eq!(kind(engine.load(b"this is no archive").await), Refused);
    let reference = format!("localhost/{}:first", test_engine.name("loaded"));
    assert_eq!(engine.image(&reference).await.expect("an answer"), None);
    test_engine.leave_no_image(&reference);
    engine.load(archive(&reference).leak()).await.expect("it is loaded");
    assert!(engine.image(&reference).await.expect("an answer").is_some(), "it is there under its name");
}

/// An image with one file, whose layer is compressed, as that of the relay is.
fn archive(reference: &str) -> Vec<u8> {
    let archive_of = |files: &[(&str, &[u8])]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *content).expect("memory");
        }
        archive.into_inner().expect("memory")
    };
    let layer = archive_of(&[("greeting", b"hello")]);
    let configuration = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256_hex(&layer))]},
    });
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]);
    let (configuration, manifest) = (configuration.to_string(), manifest.to_string());
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    compressed.write_all(&layer).expect("memory");
    archive_of(&[
        ("manifest.json", manifest.as_bytes()),
        ("config.json", configuration.as_bytes()),
        ("layer.tar", &compressed.finish().expect("memory")),
    ])
}
