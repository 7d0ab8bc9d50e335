//! Plain lines on standard error: one per change of state, no repeats.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use crate::engine::PullProgress;
use crate::event::failure::evidence::FailureReport;
use crate::event::{Event, Sink};
use crate::report::elapsed::{human, limit};
use crate::report::escape::escape;
use crate::report::snippet::render;
use crate::system::lock::Holder;

/// The width that quoted source is cut to.
const WIDTH: usize = 110;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only errors.
    Quiet,
    /// Changes of state.
    Normal,
    /// Probe answers too.
    Answers,
    /// Everything.
    Everything,
}

/// Writes plain lines.
pub struct PlainSink {
    verbosity: Verbosity,
    color: bool,
    /// By sidecar: how many tenths of its pull were told.
    pulled: HashMap<String, u64>,
    /// By sidecar: the newest line about its end while the harness had the terminal.
    held_back: Vec<(String, String)>,
}

impl PlainSink {
    /// A sink of this verbosity.
    #[must_use]
    pub fn new(verbosity: Verbosity, color: bool) -> Self {
        Self { verbosity, color, pulled: HashMap::new(), held_back: Vec::new() }
    }

    /// What is written about an event; nothing where nothing is.
    pub(super) fn text(&mut self, event: &Event<'_>) -> Option<String> {
        let verbosity = self.verbosity;
        let shown = |least: Verbosity| verbosity >= least;
        match event {
            Event::Problem(problem)
                if problem.is_error() || problem.is_told_always || shown(Verbosity::Normal) =>
            {
                let text = render(problem, self.color, WIDTH);
                Some(if text.ends_with('\n') { text } else { text + "\n" })
            }
            Event::NotReady(report) => Some(self.report(report)),
            _ if !shown(Verbosity::Normal) => None,
            Event::WaitingForLaunch { sidecar, holder } => {
                let holder = holder.map(whom).unwrap_or_default();
                Some(line(&format!("waiting for another launch to start {sidecar}{holder}")))
            }
            Event::WaitingForNetwork { network, holder } => {
                let holder = holder.map(whom).unwrap_or_default();
                Some(line(&format!(
                    "waiting for the network {network}, which another process is changing{holder}"
                )))
            }
            Event::Planned(plan) if !plan.is_untouched() => {
                // It escapes its names itself, and has lines of its own.
                Some(format!("farrier: {plan}\n"))
            }
            Event::NetworkCreated(name) => Some(line(&format!("network {name}: created"))),
            Event::Pulling { sidecar, image } => Some(line(&format!("{sidecar}: pulling {image}"))),
            Event::Ready { sidecar, after, attempts, last } => {
                let polls = if *attempts == 1 { "1 poll".to_owned() } else { format!("{attempts} polls") };
                let last = last.map(|probe| format!(", last {probe}")).unwrap_or_default();
                Some(line(&format!("{sidecar}: ready after {} ({polls}{last})", human(*after))))
            }
            Event::Succeeded { sidecar, after: Some(after) } => {
                Some(line(&format!("{sidecar}: succeeded after {}", human(*after))))
            }
            Event::Held { sidecar, after } => shown(Verbosity::Answers)
                .then(|| line(&format!("{sidecar}: waiting for {}", after.join(", ")))),
            Event::NoLongerReady { sidecar } => {
                Some(line(&format!("{sidecar}: no longer ready, its container restarted; waiting again")))
            }
            Event::Answered { sidecar, probe, attempt, answer, took, changed } => {
                (shown(Verbosity::Everything) || (shown(Verbosity::Answers) && *changed))
                    .then(|| line(&format!("{sidecar}: {probe} #{attempt}: {answer} ({})", human(*took))))
            }
            Event::Traced { sidecar, line: text } => {
                shown(Verbosity::Everything).then(|| line(&format!("{sidecar}: {text}")))
            }
            Event::Used { sidecar, probes } => shown(Verbosity::Everything).then(|| {
                let each = probes.iter().map(|(probe, used)| line(&format!("{sidecar}: {probe} {used}")));
                each.collect()
            }),
            Event::Started { sidecar, .. } => {
                shown(Verbosity::Answers).then(|| line(&format!("{sidecar}: started")))
            }
            Event::Stopping { sidecar, grace, .. } => shown(Verbosity::Answers).then(|| {
                line(&format!("{sidecar}: stopping the old container, for at most {}", limit(*grace)))
            }),
            Event::Delayed { sidecar, reason } => {
                Some(line(&format!("{sidecar}: not started yet: {reason}")))
            }
            Event::Reachable { sidecar, addresses } => {
                Some(line(&format!("{sidecar}: at {}", addresses.join(", "))))
            }
            Event::PullProgress { sidecar, progress } => self.progress(sidecar, progress),
            Event::SidecarEnded(end) => {
                // An end is told again if the sidecar runs again.
                self.held_back.retain(|(sidecar, _)| *sidecar != end.sidecar);
                self.held_back.push((end.sidecar.clone(), line(&end.sentence())));
                None
            }
            Event::HarnessEnded { .. } => {
                let lines: String = self.held_back.drain(..).map(|(_, line)| line).collect();
                Some(lines).filter(|lines| !lines.is_empty())
            }
            Event::Planned(_)
            | Event::HarnessStarting
            | Event::Problem(_)
            | Event::Connected
            | Event::Asked { .. }
            | Event::Pulled { .. }
            | Event::Created { .. }
            | Event::Succeeded { after: None, .. }
            | Event::Released { .. }
            | Event::Waiting { .. }
            | Event::AllReady => None,
        }
    }

    /// A line for each further tenth.
    fn progress(&mut self, sidecar: &str, progress: &PullProgress) -> Option<String> {
        let tenths = (progress.current * 10).checked_div(progress.total)?;
        let told = self.pulled.entry(sidecar.to_owned()).or_default();
        if tenths <= *told {
            return None;
        }
        *told = tenths;
        let (current, total) = (progress.current >> 20, progress.total >> 20);
        Some(line(&format!("{sidecar}: pulled {current} of {total} MiB")))
    }

    fn report(&self, report: &FailureReport) -> String {
        let (strong, plain) = if self.color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{strong}error[{}]{plain}: {}\n", report.code, escape(&report.headline()));
        for evidence in report.lines() {
            text.push_str(&format!("  {}\n", escape(&evidence)));
        }
        for hint in &report.hints {
            text.push_str(&format!("help: {}\n", escape(hint)));
        }
        text
    }
}

/// One line, whatever stands in it: what a probe says begins none.
fn whom(holder: &Holder) -> String {
    format!(" ({holder})")
}

fn line(text: &str) -> String {
    format!("farrier: {}\n", escape(text))
}

impl Sink for PlainSink {
    fn event(&mut self, _: Duration, event: &Event<'_>) {
        if let Some(text) = self.text(event) {
            // A closed standard error must not end a launch.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_says_begins_no_line() {
        let (sidecar, probe, said) = ("db", "mine", "x\nfarrier: db: ready after 1 ms (1 poll)");
        let took = Duration::from_millis(1);
        for event in [
            Event::Answered { sidecar, probe, attempt: 1, answer: said, took, changed: true },
            Event::Traced { sidecar, line: said },
        ] {
            let text = PlainSink::new(Verbosity::Everything, false).text(&event).expect("it is told");
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("x\\nfarrier: db: ready"), "{text}");
        }
    }
}
