//! A probe tried without an engine: what it is granted comes from options, and what it does is written down.

mod commands;
mod conversation;
mod grant;
mod recorder;
mod stand_in;

use std::sync::Arc;
use std::time::Duration;

pub use conversation::brief;
pub use grant::{Address, DryGrants, Stand, parse_address};
pub use recorder::{Deed, Recorder};

use commands::{EndWithPolls, Executed};
use conversation::RecordedHandshakes;

use crate::definition::Limits;
use crate::definition::grants::Grants;
use crate::engine::dialler::{Dialler, Direct};
use crate::probe::context::{ProbeContext, Targets};
use crate::probe::guest::{Context, Verdict};
use crate::probe::host::{LoadedProbe, Polled};
use crate::probe::memory::Memory;
use crate::probe::private_copies::PrivateCopies;
use crate::probe::tls::Handshakes;
use crate::probe::usage::{Usage, UsageTotal};
use crate::readiness::redial::{Opened, redial};
use crate::readiness::scenario::Recording;
use crate::readiness::schedule::{Course, Terms};
use crate::system::clock;

/// One try of a probe.
pub struct DryRun {
    /// The probe.
    pub probe: LoadedProbe,
    /// Whether it can do nothing but dial.
    pub only_dials: bool,
    /// What stands for the sidecar.
    pub stand: Stand,
    /// What it may do.
    pub granted: DryGrants,
    /// Its grants, as its definition declares them.
    pub grants: Arc<Grants>,
    /// Its settings as JSON.
    pub settings: String,
    /// What one poll may use up.
    pub limits: Limits,
    /// How it is waited for. It is polled once without.
    pub watch: Option<Terms>,
}

/// An answer that came once or several times in a row.
#[derive(Debug)]
pub struct Answer {
    /// The first poll that gave it, counted from 1.
    pub attempt: u32,
    /// How many polls in a row gave it.
    pub times: u32,
    /// When the first of them began, since the first poll.
    pub at: Duration,
    /// How long the first of them took.
    pub took: Duration,
    /// The answer.
    pub verdict: Verdict,
    /// The end of the wait, since the first poll, if one of them moved it.
    pub extended_to: Option<Duration>,
    /// What that poll did through its grants.
    pub deeds: Vec<Deed>,
    /// What it wrote to the trace.
    pub trace: Vec<String>,
}

impl DryRun {
    /// Polls once, or as a launch does until it is ready, failed, broken or out of time. `tell` gets each answer
    /// once the next differs from it. Every poll becomes a part of the recording. Gives the last verdict, and what all polls
    /// used of the grants.
    ///
    /// # Errors
    /// When the files that its grants name cannot be read, or its folders not be copied.
    pub async fn run(
        &self,
        mut recording: Option<&mut Recording>,
        mut tell: impl FnMut(&Answer),
    ) -> std::io::Result<(Verdict, Usage)> {
        let all_used = UsageTotal::default();
        let recorder = Recorder::default();
        let recorder = if recording.is_some() { recorder.with_content() } else { recorder };
        let executed = Executed::default();
        let _ended = EndWithPolls(executed.clone());
        let folders = PrivateCopies::write(&self.granted.directories)?.map(Arc::new);
        let memory = Memory::default();
        let begun = clock::now();
        let mut course = self.watch.map(|terms| Course::new(begun, terms, Duration::ZERO));
        let mut last: Option<Answer> = None;
        let mut attempt = 0;
        let mut opened: Option<Opened> = None;
        loop {
            attempt += 1;
            let asked_at = clock::now();
            let left = course.as_ref().map(|course| course.deadline().saturating_duration_since(asked_at));
            let left = left.unwrap_or(self.limits.poll).max(Duration::from_millis(1));
            let limits = Limits { poll: self.limits.poll.min(left), ..self.limits };
            let (folders, memory) = (folders.clone(), memory.clone());
            let dialler: Arc<dyn Dialler> = match opened.take() {
                Some(opened) => Arc::new(recorder.through(opened.before(Arc::new(Direct)))),
                None => Arc::new(recorder.clone()),
            };
            let mut probe_context = ProbeContext {
                folders,
                memory,
                used: all_used.clone(),
                dialler: Some(dialler),
                ..self.probe_context(&recorder, &executed, limits.poll).await?
            };
            if let Some(recording) = &recording {
                probe_context.randomness = recording.randomness(attempt);
                let tls = probe_context.tls.take();
                probe_context.tls = tls.map(|tls| Arc::new(RecordedHandshakes(tls)) as Arc<dyn Handshakes>);
            }
            let elapsed = clock::since(begun);
            let context = self.context(attempt, elapsed, left);
            let polled = self.probe.poll(context, probe_context, limits).await;
            let took = clock::since(asked_at);
            let Polled { verdict, trace, observed } = polled;
            let (asked, extend) = match &verdict {
                Verdict::Pending { retry_after, extend, .. } => (*retry_after, *extend),
                _ => (None, None),
            };
            let extended_to = course.as_mut().and_then(|course| course.extend(extend));
            let (deeds, commands) = (recorder.take(), executed.take());
            if let Some(recording) = recording.as_mut().filter(|_| recorder.has_overflowed()) {
                recording.cut();
            }
            if let Some(recording) = &mut recording {
                let lines = stand_in::lines(&self.granted)?;
                let deeds = deeds.clone();
                let elapsed = Duration::from_millis(elapsed.as_millis().try_into().unwrap_or(u64::MAX));
                recording.add(elapsed, &verdict, deeds, commands, self.granted.health, &lines);
            }
            match &mut last {
                Some(answer) if answer.verdict == verdict => {
                    answer.times += 1;
                    answer.extended_to = extended_to.or(answer.extended_to);
                }
                _ => {
                    let (at, verdict) = (asked_at - begun, verdict.clone());
                    let answer = Answer { attempt, times: 1, at, took, verdict, extended_to, deeds, trace };
                    if let Some(before) = last.replace(answer) {
                        tell(&before);
                    }
                }
            }
            // As in a launch: what is broken ends the wait, what is slow may become faster.
            let over = match (&verdict, &mut course) {
                (Verdict::Failed(_) | Verdict::Crashed(_), _) | (_, None) => true,
                (verdict, Some(course)) => course.count(*verdict == Verdict::Ready),
            };
            let is_full = recording.as_ref().is_some_and(|recording| recording.is_full());
            if let (Some(course), false) = (&mut course, over || is_full) {
                let refused = observed.only_refused().filter(|_| self.only_dials && asked.is_none());
                match refused {
                    Some(places) => {
                        let accepted = redial(&Direct, places, || 1);
                        opened = tokio::time::timeout(course.stretch(took, 1), accepted).await.ok();
                    }
                    None => tokio::time::sleep(course.pause(took, 1, false, asked)).await,
                }
                if !course.is_over() {
                    continue;
                }
            }
            if let Some(answer) = &last {
                tell(answer);
            }
            // Time is up before it was ready often enough, which a launch takes for not ready.
            if verdict == Verdict::Ready && !over {
                let end = if is_full { "the recording was full" } else { "the timeout" };
                let reason = format!("it was not ready often enough in a row before {end}");
                return Ok((Verdict::Pending { reason, retry_after: None, extend: None }, all_used.take()));
            }
            return Ok((verdict, all_used.take()));
        }
    }

    fn context(&self, attempt: u32, elapsed: Duration, left: Duration) -> Context {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Context {
            sidecar: self.stand.own.host.clone(),
            host: self.stand.own.host.clone(),
            port: Some(self.stand.own.port),
            attempt,
            elapsed_ms: milliseconds(elapsed),
            remaining_ms: milliseconds(left),
            settings: self.settings.clone(),
        }
    }

    /// What one poll may do. Names are looked up each time: a server may move while it is watched.
    async fn probe_context(
        &self,
        recorder: &Recorder,
        executed: &Executed,
        limit: Duration,
    ) -> std::io::Result<ProbeContext> {
        let mut targets = Targets::default();
        for (name, address) in &self.granted.places {
            let found = address.resolve().await;
            recorder.name(found, name);
            targets.0.insert((name.host.clone(), name.port), found);
        }
        Ok(ProbeContext {
            grants: Arc::clone(&self.grants),
            targets,
            subject: stand_in::subject(&self.granted, executed, limit)?,
            tls: self.granted.tls.as_ref().map(|(_, tls)| Arc::clone(tls) as Arc<dyn Handshakes>),
            commands: self.granted.commands.clone(),
            declared: self.granted.declared.clone().or_else(|| self.granted.commands.first().cloned()),
            environment: self.granted.environment.clone(),
            ..ProbeContext::default()
        })
    }
}
