//! The JSON form of what a probe used of its grants.

use super::{DialledRecord, RanRecord, UsageRecord};
use crate::probe::usage::Usage;

/// The most entries of one list.
const MOST: usize = 20;
/// The most characters of a command.
const LONGEST: usize = 1000;

impl UsageRecord {
    /// Of one probe.
    #[must_use]
    pub fn of(probe: &str, used: &Usage) -> Self {
        let lengths = [used.dialled.len(), used.ran.len(), used.variables.len(), used.folders.len()];
        let left_out: usize = lengths.into_iter().map(|length| length.saturating_sub(MOST)).sum();
        let dialled = used
            .dialled
            .iter()
            .take(MOST)
            .map(|((host, port), count)| DialledRecord { address: format!("{host}:{port}"), count: *count });
        let ran = used.ran.iter().take(MOST).map(|(command, count)| {
            let words = serde_json::Value::from(command.as_slice()).to_string();
            RanRecord { command: words.chars().take(LONGEST).collect(), count: *count }
        });
        Self {
            probe: probe.to_owned(),
            dialled: dialled.collect(),
            handshakes: used.handshakes,
            ran: ran.collect(),
            log_reads: used.log_reads,
            health_reads: used.health_reads,
            health_tests: used.health_tests,
            variables: used.variables.iter().take(MOST).cloned().collect(),
            folders: used.folders.iter().take(MOST).cloned().collect(),
            left_out: left_out.try_into().unwrap_or(u64::MAX),
        }
    }
}
