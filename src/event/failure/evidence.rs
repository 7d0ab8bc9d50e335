//! Why a sidecar is not ready: the evidence, collected once, for people and for scripts.

use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use super::cause::{self, Cause, Evidence, NOTHING_LISTENS};
use super::excerpt::excerpt;
use super::listeners;
use super::older_data;
use super::phase::Phase;
use super::until::Until;
use crate::engine::limited::within;
use crate::engine::{ByHand, Engine};
use crate::plan::instance::{Instance, Status};
use crate::probe::observed::{Dialled, Observed};
use crate::report::error::Code;
use crate::report::shell::command_line;

/// What the tcp probe answers where nothing listens.
const REFUSED: &str = "connection refused";
/// The beginning of what stands for an answer where a poll was cut.
pub(crate) const NO_ANSWER: &str = "the probe did not answer";
/// How long asking where a container listens may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long looking at the container, and reading its log, may take each: the wait is over, but a report without evidence
/// helps nobody, and an engine on a busy machine takes seconds.
const EVIDENCE: Duration = Duration::from_secs(30);
/// How long that may take of an engine that has just failed to answer, which is why the wait is over.
const EVIDENCE_OF_A_FAILED_ENGINE: Duration = Duration::from_secs(5);
/// Log lines that a report quotes.
const LOG_LINES: usize = 20;

/// One distinct answer of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In words.
    pub text: String,
    /// First seen, since the wait began.
    pub first: Duration,
    /// Last seen.
    pub last: Duration,
    /// How often.
    pub count: u32,
}

/// Distinct answers of one probe, in the order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The probe.
    pub probe: String,
    /// What it waits for, in words that follow "until".
    pub until: Until,
    /// Its answers; at most [`Answers::KEPT`].
    pub seen: Vec<Answer>,
    /// Polls in all.
    pub attempts: u32,
    /// Until when after the wait's beginning it got time, where that is more than its timeout.
    pub extended_to: Option<Duration>,
    /// What the last poll saw on the way to its answer.
    pub observed: Observed,
    /// How long one poll may take.
    pub poll: Duration,
}

impl Answers {
    /// A probe that puts a counter into its answers must not fill the memory.
    const KEPT: usize = 50;

    /// The limit of one poll, if the newest polls waited for an answer as long as it lets them.
    fn slow(&self) -> Option<Duration> {
        // The host keeps at most a tenth of a poll for the guest's own answer.
        let whole = self.poll.mul_f32(0.9);
        self.observed.unanswered_after.is_some_and(|after| after >= whole).then_some(self.poll)
    }

    /// Whether the probe said ready last.
    fn are_ready(&self) -> bool {
        let newest = self.seen.iter().max_by_key(|answer| answer.last);
        newest.is_some_and(|answer| answer.text.starts_with("ready"))
    }

    /// Notes an answer; true when it differs from the one before.
    pub fn note(&mut self, text: &str, at: Duration) -> bool {
        self.attempts += 1;
        let newest = self.seen.iter().max_by_key(|answer| answer.last).map(|answer| answer.text.clone());
        let room = self.seen.len() < Self::KEPT;
        match self.seen.iter_mut().find(|answer| answer.text == text) {
            Some(answer) => {
                answer.last = at;
                answer.count += 1;
            }
            None if room => self.seen.push(Answer { text: text.to_owned(), first: at, last: at, count: 1 }),
            None => {}
        }
        newest.as_deref() != Some(text)
    }
}

/// Everything known about a sidecar that is not ready.
#[derive(Clone, Debug)]
pub struct FailureReport {
    /// Whose.
    pub sidecar: String,
    /// The name by which commands find it.
    pub reference: String,
    /// How to read everything that it wrote, in one sentence.
    pub whole_log: String,
    /// Whether its container is still there after the launch, for a look at it.
    pub is_kept: bool,
    /// Its container's name.
    pub container_name: String,
    /// What ended the wait.
    pub code: Code,
    /// In one sentence.
    pub reason: String,
    /// How long it was waited for.
    pub waited: Duration,
    /// The declared limit.
    pub timeout: Duration,
    /// What each probe answered.
    pub answers: Vec<Answers>,
    /// The container at the end; `None` if it is gone, or the engine did not tell.
    pub container: Option<Instance>,
    /// Whether the engine told how the container is.
    pub is_told: bool,
    /// The command that decides.
    pub command: Option<Vec<String>>,
    /// The fields of the environment whose values the probes' settings have too.
    pub env_in_settings: Vec<String>,
    /// Whether the engine's health decides.
    pub by_health: bool,
    /// Where the container's processes listen, where that was asked and told.
    pub listeners: Option<Vec<SocketAddr>>,
    /// What is probably wrong.
    pub cause: Option<Cause>,
    /// How far the launch's other sidecars were.
    pub others: Vec<(String, Phase)>,
    /// The sidecars that were never started, because they come after this one.
    pub held_back: Vec<String>,
    /// The newest log lines since the latest start.
    pub log: Vec<String>,
    /// Next steps.
    pub hints: Vec<String>,
}

impl FailureReport {
    /// Completes the evidence from the engine; what is unavailable is left out. Processes of containers that are
    /// proven to be on this host are looked at here.
    pub async fn collect(
        mut self,
        engine: &dyn Engine,
        was_killed_for_memory: impl Fn(&Instance) -> bool,
        is_on_this_host: impl Fn(&Instance) -> bool,
    ) -> Self {
        let patience = if self.code == Code::EngineFailed { EVIDENCE_OF_A_FAILED_ENGINE } else { EVIDENCE };
        let found = within(patience, engine.inspect(&self.container_name)).await;
        self.is_told |= found.is_ok();
        if let Ok(Some(mut container)) = found {
            container.oom_killed |= was_killed_for_memory(&container);
            let start = container.log_start();
            if let Some(logs) = engine.logs() {
                let log = within(patience, logs.logs(&container.id, &start, LOG_LINES)).await;
                self.log = log.unwrap_or_default();
            }
            let refused = |answers: &Answers| answers.observed.dialled == Some(Dialled::Refused);
            if container.status == Status::Running && self.answers.iter().any(refused) {
                let asked = listeners::of(engine, &container, is_on_this_host(&container));
                self.listeners = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
            }
            container.error = excerpt(container.error);
            if let Some(health) = &mut container.health {
                for (_, output) in &mut health.runs {
                    *output = excerpt(mem::take(output));
                }
            }
            self.container = Some(container);
        }
        self.cause = self.likely_cause(engine).map(|cause| match &self.container {
            Some(container) => older_data::behind(cause, container, &self.env_in_settings),
            None => cause,
        });
        self.log = self.log.into_iter().take(LOG_LINES).map(excerpt).collect();
        self.hints = self.next_steps(engine);
        self
    }

    /// Whether the engine told that the container is gone, or off this network.
    #[must_use]
    pub fn is_elsewhere(&self, network: &str) -> bool {
        let is_gone = self.is_told && self.container.is_none();
        is_gone
            || self.code == Code::NetworkUnusable
            || self.container.as_ref().is_some_and(|found| !found.is_on(network))
    }

    fn likely_cause(&self, engine: &dyn Engine) -> Option<Cause> {
        let observed: Vec<Observed> = self.answers.iter().map(|answers| answers.observed.clone()).collect();
        cause::likely(&Evidence {
            code: self.code,
            container: self.container.as_ref(),
            is_told: self.is_told,
            observed: &observed,
            never_answered: self.never_answered(),
            timeout: self.timeout,
            refused_port: self.refused_port(),
            answer: self.telling_answer().or_else(|| self.newest_answer()),
            slow: self.answers.iter().find_map(Answers::slow),
            command: self.command.as_deref(),
            log: &self.log,
            listeners: self.listeners.as_deref(),
            by_health: self.by_health,
            may_be_apart: engine.capabilities().nodes && answers_no_dial(&self.sidecar, &observed),
        })
    }

    /// What to do about it, from the evidence.
    fn next_steps(&self, engine: &dyn Engine) -> Vec<String> {
        let name = &self.container_name;
        let farrier =
            |command: &[&str]| command_line(&[&["farrier"], command].concat(), &[&self.reference], &[]);
        let mut steps = Vec::new();
        let mut say = |step: &str| steps.push(step.to_owned());
        if let Some(Cause::OlderData { fields }) = &self.cause {
            say(&format!(
                "Write the old value of {} again, or change it in the server itself.",
                fields.join(", ")
            ));
            say(&format!(
                "Or remove it with all its data, and launch again: `{}`.",
                farrier(&["down", "--volumes"])
            ));
            steps.push(self.whole_log.clone());
            return steps;
        }
        match (self.code, &self.container) {
            (Code::SidecarExited | Code::NotReady, None) if self.is_told => {
                say("Launch again: farrier then recreates the container.");
                return steps;
            }
            (Code::SidecarExited | Code::JobFailed, Some(container)) if container.oom_killed => {
                say(
                    "Raise `memory` under [resources] in the definition, or reduce the sidecar's memory use.",
                );
            }
            (Code::SidecarExited | Code::JobFailed, Some(Instance { exit_code: 126 | 127, .. })) => {
                say(
                    "Its command is probably not in the image: check `entrypoint` and `command` in its definition.",
                );
            }
            (Code::JobFailed, _) => {
                say("Correct the cause, and launch again: farrier then runs the job again.");
            }
            (Code::SidecarExited, Some(Instance { status: Status::Exited, exit_code: 0, .. })) => say(
                "If it should end by itself, write `job = \"once\"` in its definition, without a port or a probe.",
            ),
            (Code::SidecarExited, Some(container)) if container.status == Status::Paused && self.is_kept => {
                let how = engine.by_hand(ByHand::Resume(name)).map(|command| format!(" with `{command}`"));
                say(&format!("Resume it{}, and launch again.", how.unwrap_or_default()));
                return steps;
            }
            (Code::NetworkUnusable, _) => say("Launch again: farrier then connects the container."),
            (Code::SidecarUnhealthy, _) => {
                if let Some(command) = engine.by_hand(ByHand::Inspect(name)).filter(|_| self.is_kept) {
                    say(&format!("See each run of its test with `{command}`."));
                }
                say("Fix the sidecar or its HEALTHCHECK, or use another probe.");
            }
            (Code::NotReady, Some(_)) => {
                let step = self.cause.as_ref().and_then(Cause::next_step);
                // Where it listens could not be told.
                let unknown = self.cause.is_none() && self.listeners.is_none();
                if let Some(step) = &step {
                    say(step);
                } else if unknown && self.newest_answer() == Some(REFUSED) {
                    say(NOTHING_LISTENS);
                }
                say("If the sidecar is only slow, raise `timeout` under [readiness].");
            }
            (Code::ProbeFailed, _) => {
                let step = self.cause.as_ref().and_then(Cause::next_step);
                if let Some(step) = &step {
                    say(step);
                }
                if matches!(self.cause, Some(Cause::NotGranted { .. })) && step.is_some() {
                    steps.push(self.whole_log.clone());
                    return steps;
                }
                say("Correct [readiness] in its definition, or the image, and launch again.");
            }
            (Code::ProbeCrashed | Code::ProbeInvalid, _) => {
                say(
                    "The probe failed, not the sidecar: report it to the probe's author, or raise the exceeded limit in \
                     `limits` under [readiness].",
                );
                return steps;
            }
            (Code::EngineFailed, _) | (Code::SidecarExited | Code::NotReady, None) => {
                let how = engine.by_hand(ByHand::SeeEngine).map(|command| format!(" with `{command}`"));
                say(&format!("Check the engine{}, and launch again.", how.unwrap_or_default()));
                return steps;
            }
            _ => {}
        }
        steps.push(self.whole_log.clone());
        steps
    }

    /// The port of this sidecar, and of no other one, that refused the last dial.
    fn refused_port(&self) -> Option<u16> {
        let observed = self.answers.iter().map(|answers| &answers.observed);
        let refused = observed.filter(|observed| observed.dialled == Some(Dialled::Refused));
        let mut places = refused.filter_map(|observed| observed.refused_at.as_ref());
        places.find(|(host, _)| *host == self.sidecar).map(|(_, port)| *port)
    }

    fn never_answered(&self) -> bool {
        let mut answers = self.answers.iter().flat_map(|answers| &answers.seen).peekable();
        answers.peek().is_some() && answers.all(|answer| answer.text.starts_with(NO_ANSWER))
    }

    /// The answer that tells why the time was up, of a probe that is not ready; any other end speaks for itself.
    fn telling_answer(&self) -> Option<&str> {
        let waits = self.answers.iter().filter(|_| self.code == Code::NotReady);
        waits.filter(|answers| !answers.are_ready()).find_map(telling_answer)
    }

    /// The newest answer of a probe, other than none at all.
    fn newest_answer(&self) -> Option<&str> {
        let answers = self.answers.iter().flat_map(|answers| &answers.seen);
        let answers = answers.filter(|answer| !answer.text.starts_with(NO_ANSWER));
        answers.max_by_key(|answer| answer.last).map(|answer| answer.text.as_str())
    }
}

/// Whether probes dialled the sidecar, and it neither accepted nor refused in any poll.
fn answers_no_dial(sidecar: &str, observed: &[Observed]) -> bool {
    let is_unanswered = |observed: &Observed| observed.unanswered_at.as_deref() == Some(sidecar);
    let is_reached = |observed: &Observed| observed.answering.contains(sidecar);
    observed.iter().any(is_unanswered) && !observed.iter().any(is_reached)
}

/// The newest answer that tells what is wrong, unless others came more often after it: the last poll of a wait on a
/// busy machine may say less than those before it.
fn telling_answer(answers: &Answers) -> Option<&str> {
    let mut answers: Vec<&Answer> = answers.seen.iter().collect();
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.last));
    let mut newer = 0;
    for answer in answers {
        if cause::is_telling(&answer.text) && answer.count >= newer {
            return Some(&answer.text);
        }
        newer += answer.count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_tells_what_is_wrong_outweighs_a_last_poll_that_does_not() {
        let missing = "the database \"late\" does not exist yet";
        let silent = "the port accepts connections, but the server does not answer yet";
        for (said, telling) in [
            (vec![missing, missing, silent], Some(missing)),
            (vec![missing, silent], Some(missing)),
            (vec![missing, silent, silent], None),
            (vec![silent, missing], Some(missing)),
            (vec![silent], None),
        ] {
            let mut answers = Answers::default();
            for (number, text) in said.iter().enumerate() {
                answers.note(text, Duration::from_secs(number as u64));
            }
            assert_eq!(telling_answer(&answers), telling, "{said:?}");
        }
    }

    #[test]
    fn whoever_answered_any_dial_is_reached() {
        let dial = |host: &str, is_answered: bool| Observed {
            answering: is_answered.then(|| host.to_owned()).into_iter().collect(),
            unanswered_at: (!is_answered).then(|| host.to_owned()),
            ..Observed::default()
        };
        for (polls, is_unreached) in [
            (vec![dial("db", false), dial("db", false)], true),
            (vec![dial("db", true), dial("db", false)], false),
            (vec![dial("db", false), dial("db", true)], false),
            (vec![dial("other", false)], false),
            (vec![dial("other", true), dial("db", false)], true),
            (vec![Observed::default()], false),
        ] {
            let observed =
                polls.iter().fold(Observed::default(), |earlier, poll| poll.clone().after(&earlier));
            assert_eq!(answers_no_dial("db", &[observed]), is_unreached, "{polls:?}");
        }
    }

    #[test]
    fn answers_are_kept_once_each() {
        let mut answers = Answers::default();
        let at = Duration::from_millis;
        assert!(answers.note("refused", at(0)));
        assert!(!answers.note("refused", at(10)));
        assert!(answers.note("starting up", at(20)));
        assert!(answers.note("refused", at(30)));
        assert_eq!(answers.attempts, 4);
        let seen: Vec<_> = answers.seen.iter().map(|answer| (answer.text.as_str(), answer.count)).collect();
        assert_eq!(seen, [("refused", 3), ("starting up", 1)]);
        for number in 0..1000 {
            answers.note(&number.to_string(), at(40));
        }
        assert_eq!(answers.seen.len(), Answers::KEPT);
        assert_eq!(answers.attempts, 1004);
    }
}
