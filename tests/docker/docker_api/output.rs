//! What containers write, as they write it.

use farrier::engine::EngineErrorKind::NotFound;
use farrier::engine::{EngineResult, OutputRequest, Written};
use futures_util::{StreamExt, TryStreamExt};

use super::setup::{TestEngine, contract, kind};

contract! {
    both_streams_are_told_apart,
    only_the_newest_lines_come_where_a_number_is_given,
    following_goes_on_until_the_container_ends,
    only_what_was_written_since_a_moment_comes,
    an_absent_container_wrote_nothing,
}

/// Everything that comes; a failure of the call or of an item.
async fn all(
    test_engine: &dyn TestEngine,
    container: &str,
    request: &OutputRequest,
) -> EngineResult<Vec<Written>> {
    test_engine.engine().output(container, request).await?.try_collect().await
}

fn text(written: &[Written]) -> Vec<(bool, String)> {
    written.iter().map(|part| (part.is_error, String::from_utf8_lossy(&part.bytes).into_owned())).collect()
}

async fn both_streams_are_told_apart(test_engine: &dyn TestEngine) {
    for (stem, command, expected) in [
        ("out", ["print", "hello", ""], (false, "hello\n".to_owned())),
        ("error", ["crash", "no", "4"], (true, "no\n".to_owned())),
    ] {
        let command: Vec<&str> = command.into_iter().filter(|word| !word.is_empty()).collect();
        let id = test_engine.started(stem, &command).await;
        test_engine.exited(&id).await;
        // With and without following, since nothing more can come.
        for follow in [true, false] {
            let request = OutputRequest { follow, ..OutputRequest::default() };
            let written = all(test_engine, &id, &request).await.expect("the output");
            assert_eq!(text(&written), std::slice::from_ref(&expected), "{follow}");
        }
    }
}

async fn only_the_newest_lines_come_where_a_number_is_given(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["print", "one\ntwo\nthree"]).await;
    test_engine.exited(&id).await;
    for (lines, expected) in [(None, 3), (Some(2), 2), (Some(0), 0)] {
        let request = OutputRequest { lines, ..OutputRequest::default() };
        let written = all(test_engine, &id, &request).await.expect("the output");
        assert_eq!(written.len(), expected, "{lines:?}: {:?}", text(&written));
        assert!(expected == 0 || text(&written).last() == Some(&(false, "three\n".to_owned())));
    }
}

async fn following_goes_on_until_the_container_ends(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["serve", "--port", "7", "--log", "a"]).await;
    let request = OutputRequest { follow: true, ..OutputRequest::default() };
    let mut stream = test_engine.engine().output(&id, &request).await.expect("a stream");
    let first = stream.next().await.expect("a line").expect("a line");
    assert_eq!(text(&[first]), [(false, "a\n".to_owned())]);
    test_engine.engine().remove(&id, true).await.expect("it goes");
    while stream.next().await.is_some() {}
}

async fn only_what_was_written_since_a_moment_comes(test_engine: &dyn TestEngine) {
    let id = test_engine.started("db", &["print", "hello"]).await;
    let ended = test_engine.exited(&id).await;
    let all_since = async |since: String| {
        all(test_engine, &id, &OutputRequest { since, ..OutputRequest::default() })
            .await
            .expect("the output")
            .len()
    };
    assert_eq!(all_since(ended.instance().log_start()).await, 1);
    let later: jiff::Timestamp = ended.finished_at.parse().expect("a moment");
    // Lines are noted when the engine gets to them, on a busy machine after the end.
    let later = later.checked_add(jiff::SignedDuration::from_secs(10)).expect("a moment");
    assert_eq!(all_since(later.to_string()).await, 0);
}

async fn an_absent_container_wrote_nothing(test_engine: &dyn TestEngine) {
    let request = OutputRequest::default();
    assert_eq!(kind(all(test_engine, &test_engine.name("absent"), &request).await), NotFound);
}
