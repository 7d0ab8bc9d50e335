//! What live lines say: folded from events, pure. Nothing here knows a terminal.

use std::time::Duration;

use console::{measure_text_width, truncate_str};

use crate::event::Event;
use crate::plan::{Action, SidecarPlan};
use crate::report::elapsed::{human, limit};
use crate::report::escape::escape;
use crate::system::lock::Holder;

/// After this time of waiting it is said what for.
const PATIENCE: Duration = Duration::from_secs(3);

/// How far all sidecars of a launch are.
#[derive(Debug, Default)]
pub struct Progress {
    sidecars: Vec<Sidecar>,
    /// How long people thought about approvals, which is not the launch's time.
    asked: Duration,
}

#[derive(Debug)]
struct Sidecar {
    name: String,
    begun: Duration,
    action: Option<Action>,
    causes: String,
    /// What it waits for before it starts.
    held: Vec<String>,
    stage: Stage,
    probes: Vec<Probe>,
}

#[derive(Debug)]
enum Stage {
    /// By another launch, if that is known.
    Locked(Option<Holder>),
    Planned,
    /// Until these are as far as they have to be.
    Held(Vec<String>),
    Stopping {
        grace: Duration,
    },
    /// For this reason.
    Delayed(String),
    Pulling {
        image: String,
        current: u64,
        total: u64,
    },
    Made,
    Waiting {
        since: Duration,
    },
    Ready {
        after: Duration,
    },
    /// A job; it had before if there is no time.
    Succeeded {
        after: Option<Duration>,
    },
}

/// One condition, while it is waited for.
#[derive(Debug)]
struct Probe {
    name: String,
    until: String,
    answer: Option<String>,
}

impl Progress {
    /// Takes an event in; `at` is the time since the launch began.
    pub fn note(&mut self, at: Duration, event: &Event<'_>) {
        match event {
            Event::WaitingForLaunch { sidecar, holder } => {
                self.sidecar(sidecar, at).stage = Stage::Locked(holder.cloned());
            }
            Event::Asked { took, .. } => self.asked += *took,
            Event::Planned(plan) => self.planned(at, plan),
            Event::Pulling { sidecar, image } => {
                let image = (*image).to_owned();
                self.sidecar(sidecar, at).stage = Stage::Pulling { image, current: 0, total: 0 };
            }
            Event::PullProgress { sidecar, progress } => {
                if let Stage::Pulling { current, total, .. } = &mut self.sidecar(sidecar, at).stage {
                    (*current, *total) = (progress.current, progress.total);
                }
            }
            Event::Pulled { sidecar, .. } => {
                let found = self.sidecar(sidecar, at);
                found.stage =
                    if found.held.is_empty() { Stage::Planned } else { Stage::Held(found.held.clone()) };
            }
            Event::Held { sidecar, after } => {
                let found = self.sidecar(sidecar, at);
                found.held = after.to_vec();
                found.stage = Stage::Held(after.to_vec());
            }
            Event::Released { sidecar } => {
                let found = self.sidecar(sidecar, at);
                found.held.clear();
                found.stage = Stage::Planned;
            }
            Event::Succeeded { sidecar, after } => {
                self.sidecar(sidecar, at).stage = Stage::Succeeded { after: *after };
            }
            Event::Stopping { sidecar, grace, .. } => {
                self.sidecar(sidecar, at).stage = Stage::Stopping { grace: *grace };
            }
            Event::Delayed { sidecar, reason } => {
                self.sidecar(sidecar, at).stage = Stage::Delayed((*reason).to_owned());
            }
            Event::Created { sidecar, .. } | Event::Started { sidecar, .. } => {
                self.sidecar(sidecar, at).stage = Stage::Made;
            }
            Event::Waiting { sidecar, probe, until, .. } => {
                let found = self.sidecar(sidecar, at);
                found.stage = Stage::Waiting { since: at };
                let (name, until) = ((*probe).to_owned(), until.told.clone());
                found.probes.push(Probe { name, until, answer: None });
            }
            Event::Answered { sidecar, probe, answer, .. } => {
                let probes = &mut self.sidecar(sidecar, at).probes;
                if let Some(found) = probes.iter_mut().find(|known| known.name == *probe) {
                    found.answer = Some((*answer).to_owned());
                }
            }
            Event::NoLongerReady { sidecar } => {
                self.sidecar(sidecar, at).stage = Stage::Waiting { since: at };
            }
            Event::Ready { sidecar, after, .. } => {
                self.sidecar(sidecar, at).stage = Stage::Ready { after: *after };
            }
            _ => {}
        }
    }

    /// A line for each sidecar, none wider than the terminal; where they are more than fit, the ones that are ready
    /// already are left out first.
    #[must_use]
    pub fn lines(&self, now: Duration, columns: usize, rows: usize) -> Vec<String> {
        let names = self.sidecars.iter().map(|sidecar| measure_text_width(&escape(&sidecar.name)));
        let names = names.max().unwrap_or_default().min(columns / 4);
        let mut shown: Vec<&Sidecar> = self.sidecars.iter().collect();
        if shown.len() > rows {
            shown.sort_by_key(|sidecar| sidecar.stage.is_last());
            shown.truncate(rows.saturating_sub(1));
        }
        let mut lines: Vec<String> = shown.iter().map(|sidecar| sidecar.line(now, names, columns)).collect();
        let left_out = self.sidecars.len() - shown.len();
        if left_out > 0 {
            lines.push(truncate_str(&format!("and {left_out} more"), columns, "").into_owned());
        }
        lines
    }

    /// What remains of them in one line, when all are ready: the longest form that fits.
    #[must_use]
    pub fn summary(&self, now: Duration, columns: usize) -> String {
        let took = human(now.saturating_sub(self.asked));
        let subject = match self.sidecars.as_slice() {
            [only] => escape(&only.name),
            all => format!("{} sidecars", all.len()),
        };
        let head = format!("farrier: {subject} ready after {took}");
        let forms = [format!("{head}: {}", self.each()), format!("{head}: {}", self.counted())];
        let fits = |form: &String| measure_text_width(form) <= columns;
        forms.into_iter().find(fits).unwrap_or_else(|| truncate_str(&head, columns, "...").into_owned())
    }

    /// What was done with each, the unchanged ones by name only.
    fn each(&self) -> String {
        let [only] = self.sidecars.as_slice() else {
            let each = self.sidecars.iter().map(|sidecar| {
                let name = escape(&sidecar.name);
                format!("{name} {}", sidecar.done())
            });
            return each.collect::<Vec<_>>().join("; ");
        };
        only.done()
    }

    fn counted(&self) -> String {
        let actions = [Action::Create, Action::Recreate, Action::Resume, Action::Reuse];
        let counts = actions.into_iter().filter_map(|action| {
            let count = self.sidecars.iter().filter(|sidecar| sidecar.action == Some(action)).count();
            (count > 0).then(|| format!("{count} {}", past(action)))
        });
        counts.collect::<Vec<_>>().join(", ")
    }

    fn planned(&mut self, at: Duration, plan: &SidecarPlan) {
        let causes: Vec<String> = plan.causes.iter().map(ToString::to_string).collect();
        let sidecar = self.sidecar(plan.name(), at);
        sidecar.action = Some(plan.action);
        sidecar.causes = causes.join("; ");
        sidecar.stage = Stage::Planned;
    }

    fn sidecar(&mut self, name: &str, at: Duration) -> &mut Sidecar {
        let index = self.sidecars.iter().position(|sidecar| sidecar.name == name).unwrap_or_else(|| {
            self.sidecars.push(Sidecar {
                name: name.to_owned(),
                begun: at,
                action: None,
                causes: String::new(),
                held: Vec::new(),
                stage: Stage::Planned,
                probes: Vec::new(),
            });
            self.sidecars.len() - 1
        });
        &mut self.sidecars[index]
    }
}

impl Stage {
    /// Whether nothing more is to come.
    const fn is_last(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Succeeded { .. })
    }
}

impl Sidecar {
    fn line(&self, now: Duration, names: usize, columns: usize) -> String {
        let name = truncate_str(&escape(&self.name), names, "~").into_owned();
        let pad = " ".repeat(names.saturating_sub(measure_text_width(&name)));
        let took = match self.stage {
            _ if self.stage.is_last() => String::new(),
            _ => human_seconds(now.saturating_sub(self.begun)),
        };
        let head = format!("{name}{pad} {took:>7}  ");
        let room = columns.saturating_sub(measure_text_width(&head));
        let forms = self.forms(now);
        let fitting = forms.iter().find(|form| measure_text_width(form) <= room);
        let text = fitting.or(forms.last()).map(String::as_str).unwrap_or_default();
        truncate_str(&format!("{head}{}", truncate_str(text, room, "...")), columns, "").into_owned()
    }

    /// What is said of it: the fullest form first, the one that must not be missing last.
    fn forms(&self, now: Duration) -> Vec<String> {
        let causes = escape(&self.causes);
        let because = |verb: &str| match self.action {
            Some(Action::Recreate) => vec![format!("{verb}, because {causes}"), verb.to_owned()],
            _ => vec![verb.to_owned()],
        };
        match &self.stage {
            Stage::Locked(holder) => {
                let whom = holder.as_ref().map(|holder| format!(" ({})", escape(&holder.to_string())));
                vec![
                    format!("waiting for another launch to start it{}", whom.unwrap_or_default()),
                    "waiting for another launch to start it".to_owned(),
                    "waiting for a launch".to_owned(),
                ]
            }
            Stage::Planned => because(self.action.map_or("planning", doing)),
            Stage::Held(after) => {
                vec![format!("waiting for {}", escape(&after.join(", "))), "waiting for others".to_owned()]
            }
            Stage::Succeeded { after: Some(after) } => {
                let after = human(*after);
                let done = because(self.action.map_or("made", past));
                let forms = done.iter().map(|done| format!("{done}, succeeded after {after}"));
                forms.chain([format!("succeeded after {after}")]).collect()
            }
            Stage::Succeeded { after: None } => vec!["succeeded before".to_owned()],
            Stage::Stopping { grace } => {
                let stopping = "stopping the old container".to_owned();
                vec![format!("{stopping}, for at most {}", limit(*grace)), stopping, "stopping".to_owned()]
            }
            Stage::Delayed(reason) => {
                vec![format!("not started yet: {}", escape(reason)), "not started yet".to_owned()]
            }
            Stage::Pulling { image, current, total } => {
                let image = escape(image);
                let far = match (current >> 20, total >> 20) {
                    (_, 0) => String::new(),
                    (current, total) => format!(", {current} of {total} MiB"),
                };
                vec![format!("pulling {image}{far}"), format!("pulling{far}")]
            }
            Stage::Made => because(self.action.map_or("made", past)),
            Stage::Ready { after } => {
                let after = human(*after);
                let ready = |done: &String| format!("{done}, ready after {after}");
                let done = because(self.action.map_or("made", past));
                done.iter().map(ready).chain([format!("ready after {after}")]).collect()
            }
            Stage::Waiting { since } => self.waiting(because(self.action.map_or("made", past)), *since, now),
        }
    }

    fn waiting(&self, done: Vec<String>, since: Duration, now: Duration) -> Vec<String> {
        let is_open = |probe: &&Probe| probe.answer.as_deref() != Some("ready");
        let Some(probe) = self.probes.iter().find(is_open).or(self.probes.last()) else { return done };
        let answer = probe.answer.as_deref().map(escape);
        let said = match &answer {
            Some(answer) => format!("{}: {answer}", escape(&probe.name)),
            None => format!("asking {}", escape(&probe.name)),
        };
        let last = answer.unwrap_or_else(|| said.clone());
        let mut forms: Vec<String> = Vec::new();
        if now.saturating_sub(since) >= PATIENCE {
            let until = format!("waiting until {}", escape(&probe.until));
            forms.extend(done.iter().map(|done| format!("{done}; {said}; {until}")));
            forms.push(format!("{said}; {until}"));
        }
        forms.extend(done.iter().map(|done| format!("{done}; {said}")));
        forms.extend([said, last]);
        forms
    }

    fn done(&self) -> String {
        match self.action {
            Some(Action::Recreate) => format!("recreated, because {}", escape(&self.causes)),
            Some(action) => past(action).to_owned(),
            None => "ready".to_owned(),
        }
    }
}

/// Tenths of seconds, so that a moving line keeps its width.
fn human_seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

const fn doing(action: Action) -> &'static str {
    match action {
        Action::Reuse => "reusing",
        Action::Resume => "resuming",
        Action::Create => "creating",
        Action::Recreate => "recreating",
    }
}

const fn past(action: Action) -> &'static str {
    match action {
        Action::Reuse => "reused",
        Action::Resume => "resumed",
        Action::Create => "created",
        Action::Recreate => "recreated",
    }
}

#[cfg(test)]
mod tests;
