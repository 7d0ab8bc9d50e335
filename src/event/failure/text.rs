//! The evidence about a sidecar that is not ready, as people read it.

use super::evidence::{Answers, FailureReport};
use crate::plan::instance::{Instance, Status};
use crate::report::elapsed::{human, limit};
use crate::report::error::Code;

/// Runs of the health test that are quoted.
const HEALTH_RUNS: usize = 5;
/// Distinct answers of a probe that are quoted.
const ANSWERS: usize = 10;

impl FailureReport {
    /// The first line of the report.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.code {
            Code::JobFailed => format!("the job `{}` failed: {}", self.sidecar, self.reason),
            _ => format!("sidecar `{}` is not ready: {}", self.sidecar, self.reason),
        }
    }

    /// The evidence, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(cause) = &self.cause {
            lines.push(format!("likely cause: {}", cause.sentence()));
        }
        lines.push(format!("waited {} (timeout {})", human(self.waited), limit(self.timeout)));
        self.answers.iter().for_each(|answers| lines.extend(answer_lines(answers)));
        match &self.container {
            None if self.is_told => lines.push("container: gone".to_owned()),
            None => lines.push("container: unknown, because the engine did not report it".to_owned()),
            Some(container) => lines.extend(container_lines(container)),
        }
        if !self.others.is_empty() {
            let others = self.others.iter().map(|(name, phase)| format!("{name} {}", phase.as_str()));
            lines.push(format!("other sidecars: {}", others.collect::<Vec<_>>().join(", ")));
        }
        if !self.held_back.is_empty() {
            lines.push(format!("never started, because they come after it: {}", self.held_back.join(", ")));
        }
        if !self.log.is_empty() {
            lines.push("last log lines:".to_owned());
            lines.extend(self.log.iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

fn answer_lines(answers: &Answers) -> Vec<String> {
    let word = if answers.attempts == 1 { "attempt" } else { "attempts" };
    let mut first =
        format!("probe {}, until {}: {} {word}", answers.probe, answers.until.told, answers.attempts);
    if let Some(extended) = answers.extended_to {
        first.push_str(&format!(", extended to {} because it reported progress", human(extended)));
    }
    let mut lines = vec![first];
    let left_out = answers.seen.len().saturating_sub(ANSWERS);
    if left_out > 0 {
        lines.push(format!("  {left_out} earlier answers, and then:"));
    }
    for answer in &answers.seen[left_out..] {
        let times = if answer.count == 1 {
            format!("at {}", human(answer.first))
        } else {
            format!("{} times, {} to {}", answer.count, human(answer.first), human(answer.last))
        };
        lines.push(format!("  {} ({times})", answer.text));
    }
    lines
}

fn container_lines(container: &Instance) -> Vec<String> {
    let mut state = format!("container: {}", container.status);
    if container.status != Status::Running {
        state.push_str(&format!(", exit code {}", container.exit_code));
        if let Some(signal) = container.signal() {
            state.push_str(&format!(" ({signal})"));
        }
    }
    if container.oom_killed {
        state.push_str(&format!(
            ", killed because it ran out of memory (limit {} MiB)",
            container.memory >> 20
        ));
    }
    if container.restarts > 0 {
        let times =
            if container.restarts == 1 { "once".to_owned() } else { format!("{} times", container.restarts) };
        state.push_str(&format!(", restarted {times}"));
    }
    let mut lines = vec![state];
    if !container.error.is_empty() {
        lines.push(format!("  the engine says: {}", container.error));
    }
    lines.extend(health_lines(container));
    lines
}

/// The latest runs of the health test; equal ones that follow each other once.
fn health_lines(container: &Instance) -> Vec<String> {
    let runs = container.health.as_ref().map_or(&[][..], |health| health.runs.as_slice());
    if runs.is_empty() {
        return Vec::new();
    }
    let mut distinct: Vec<(&(i64, String), usize)> = Vec::new();
    for run in runs {
        match distinct.last_mut() {
            Some((last, count)) if *last == run => *count += 1,
            _ => distinct.push((run, 1)),
        }
    }
    let mut lines = vec!["health test, as the engine ran it:".to_owned()];
    for ((code, output), count) in distinct.iter().skip(distinct.len().saturating_sub(HEALTH_RUNS)) {
        let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        let output = output.trim();
        let said = if output.is_empty() { String::new() } else { format!(": {output}") };
        lines.push(format!("  exit code {code}{said}{times}"));
    }
    lines
}
