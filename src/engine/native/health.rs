//! The health of a container: what its image's test said, as the supervisor writes it down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::image_file::ProcessConfig;
use crate::plan::instance::{Health, HealthCommand, HealthStatus};

/// How many runs are kept: as Docker has it.
const KEPT: usize = 5;

/// An image's health test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTest {
    /// What is executed.
    pub arguments: Vec<String>,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
    /// The pause before each run.
    pub interval: Duration,
    /// How many failures in a row count.
    pub retries: u32,
}

impl HealthTest {
    /// The test of an image's process, if it has one.
    pub fn of(process: &ProcessConfig) -> Option<Self> {
        let HealthCommand { arguments, timeout, start_period } = process.health_command()?;
        let (interval, retries) = process.health_schedule();
        Some(Self { arguments, timeout, start_period, interval, retries })
    }
}

impl From<HealthTest> for HealthCommand {
    fn from(test: HealthTest) -> Self {
        let HealthTest { arguments, timeout, start_period, .. } = test;
        Self { arguments, timeout, start_period }
    }
}

/// What the runs of a test have said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    status: Word,
    /// How many runs have failed since one passed.
    failures: u32,
    /// Exit code and output of the latest runs, oldest first.
    runs: Vec<(i64, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthRecord {
    /// Takes in a run that began so long after the container. Whether the status is another one now.
    pub fn note(&mut self, test: &HealthTest, after: Duration, exit_code: i64, output: String) -> bool {
        let before = self.status;
        self.runs.push((exit_code, output));
        let surplus = self.runs.len().saturating_sub(KEPT);
        self.runs.drain(..surplus);
        if exit_code == 0 {
            (self.failures, self.status) = (0, Word::Healthy);
        } else if before != Word::Starting || after >= test.start_period {
            self.failures += 1;
            if self.failures >= test.retries {
                self.status = Word::Unhealthy;
            }
        }
        before != self.status
    }

    /// As the rest of farrier sees it.
    pub fn health(&self) -> Health {
        let status = match self.status {
            Word::Starting => HealthStatus::Starting,
            Word::Healthy => HealthStatus::Healthy,
            Word::Unhealthy => HealthStatus::Unhealthy,
        };
        Health { status, runs: self.runs.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_as_docker_counts_them() {
        let test = HealthTest {
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
            start_period: Duration::from_secs(10),
            interval: Duration::from_secs(1),
            retries: 2,
        };
        let mut record = HealthRecord::default();
        for (second, exit_code, status, changed) in [
            (1, 1, HealthStatus::Starting, false),
            (9, 1, HealthStatus::Starting, false),
            (10, 1, HealthStatus::Starting, false),
            (11, 1, HealthStatus::Unhealthy, true),
            (12, 1, HealthStatus::Unhealthy, false),
            (13, 0, HealthStatus::Healthy, true),
            (14, 1, HealthStatus::Healthy, false),
            (15, 0, HealthStatus::Healthy, false),
            (16, 1, HealthStatus::Healthy, false),
            (17, -1, HealthStatus::Unhealthy, true),
        ] {
            let is_changed =
                record.note(&test, Duration::from_secs(second), exit_code, format!("at {second}"));
            assert_eq!((record.health().status, is_changed), (status, changed), "{second}");
        }
        let runs = record.health().runs;
        assert_eq!((runs.len(), runs.first()), (KEPT, Some(&(0, "at 13".to_owned()))));
        // Once it was healthy, the start period is over.
        let mut record = HealthRecord::default();
        record.note(&test, Duration::ZERO, 0, String::new());
        for _ in 0..2 {
            record.note(&test, Duration::ZERO, 1, String::new());
        }
        assert_eq!(record.health().status, HealthStatus::Unhealthy);
    }
}
