//! The engine itself.

use super::setup::{TestEngine, contract};

contract! {
    an_engine_tells_who_it_is_and_what_time_it_has,
}

async fn an_engine_tells_who_it_is_and_what_time_it_has(test_engine: &dyn TestEngine) {
    let first = test_engine.engine().info().await.expect("an answer");
    let second = test_engine.engine().info().await.expect("an answer");
    assert!(!first.id.is_empty());
    assert_eq!(first.id, second.id);
    assert_eq!(first.architecture, std::env::consts::ARCH);
    assert!(first.local);
    let (seconds, nanoseconds) = first.time.split_once('.').expect("seconds and nanoseconds");
    assert_eq!((seconds.len(), nanoseconds.len()), (10, 9), "{}", first.time);
    assert!(first.time <= second.time);
}
