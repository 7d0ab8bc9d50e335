//! Scenarios, which come with probes that nobody knows.

use std::sync::Arc;

use super::scenario::write;
use crate::definition::scenario::{MOST_POLLS, Scenario, parse};
use crate::fuzzing::assert_told;
use crate::report::error::{Problem, Source};

/// Any text is a scenario or problems that say where and what to do, and a scenario that is written is the same when it
/// is read.
pub fn scenarios(data: &[u8]) {
    let Ok(text) = String::from_utf8(data.to_vec()) else { return };
    let read = match read(&source(text)) {
        Ok(scenario) => scenario,
        Err(problems) => return problems.iter().for_each(assert_told),
    };
    assert!(read.polls.iter().map(|poll| u64::from(poll.times)).sum::<u64>() <= MOST_POLLS);
    assert!(!read.readiness.timeout.is_zero() && read.readiness.timeout <= read.readiness.max_timeout);
    let Ok(written) = write(&read, "") else { return };
    let source = source(written);
    let again = self::read(&source);
    assert_eq!(again.as_ref().map(|again| &again.polls), Ok(&read.polls), "{}", source.text);
    let text = again.ok().and_then(|again| write(&again, "").ok());
    assert_eq!(text.as_ref(), Some(&source.text));
}

fn source(text: String) -> Arc<Source> {
    Arc::new(Source { path: "it.toml".into(), text })
}

fn read(source: &Arc<Source>) -> Result<Scenario, Vec<Problem>> {
    parse(source).map(|written| written.scenario)
}
