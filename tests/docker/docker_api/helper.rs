//! Throwaway helpers.

use std::collections::BTreeMap;

use farrier::engine::docker::api::ContainerSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::setup::{TestEngine, contract, words};

contract! {
    a_helper_is_unprivileged,
    a_helper_answers_over_its_standard_streams_and_goes_when_its_input_ends,
    what_is_uploaded_can_be_read_inside,
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

async fn what_is_uploaded_can_be_read_inside(test_engine: &dyn TestEngine) {
    test_engine.network("net").await;
    let id = test_engine
        .engine()
        .create(&helper(test_engine, &["read", "/tmp/greeting"]))
        .await
        .expect("a helper");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    archive.append_data(&mut header, "tmp/greeting", b"hello".as_slice()).expect("an archive");
    test_engine
        .engine()
        .upload(&id, archive.into_inner().expect("an archive"))
        .await
        .expect("it is unpacked");
    let mut attached = test_engine.engine().attach(&id).await.expect("its streams");
    test_engine.engine().start(&id).await.expect("it starts");
    let mut output = String::new();
    attached.output.read_to_string(&mut output).await.expect("it answers");
    assert_eq!(output, "hello\n");
    test_engine.gone(&id).await;
}
