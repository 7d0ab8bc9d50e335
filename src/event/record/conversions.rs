//! From what happened to its JSON form.

use super::{
    AnswerRecord, AnswersRecord, CauseRecord, FailureRecord, HealthRunRecord, HolderRecord, OtherRecord,
    PlaceRecord, ProblemRecord, Record, SidecarEndRecord, StateRecord, UsageRecord,
};
use crate::event::Event;
use crate::event::failure::cause::Cause;
use crate::event::failure::evidence::FailureReport;
use crate::event::failure::sidecar_end::SidecarEnd;
use crate::report::elapsed::milliseconds;
use crate::report::error::Problem;
use crate::system::lock::Holder;

impl From<&Problem> for ProblemRecord {
    fn from(problem: &Problem) -> Self {
        let place = problem.place.as_ref().map(|place| {
            let position = place.line_column();
            PlaceRecord {
                file: place.source.path.display().to_string(),
                line: position.map(|(line, _)| line),
                column: position.map(|(_, column)| column),
            }
        });
        Self {
            code: problem.code.as_str().to_owned(),
            severity: if problem.is_error() { "error" } else { "warning" }.to_owned(),
            message: problem.message.clone(),
            hints: problem.hints.clone(),
            sidecar: problem.sidecar.clone(),
            place,
        }
    }
}

impl From<&Holder> for HolderRecord {
    fn from(holder: &Holder) -> Self {
        Self { process: holder.process, command: holder.command.clone() }
    }
}

impl From<&Event<'_>> for Record {
    fn from(event: &Event<'_>) -> Self {
        let text = |text: &str| text.to_owned();
        match event {
            Event::Problem(problem) => Self::Problem((*problem).into()),
            Event::Connected => Self::Connected,
            Event::Asked { sidecar, took } => {
                Self::Asked { sidecar: text(sidecar), took_ms: milliseconds(*took) }
            }
            Event::WaitingForLaunch { sidecar, holder } => {
                Self::WaitingForLaunch { sidecar: text(sidecar), holder: holder.map(HolderRecord::from) }
            }
            Event::WaitingForNetwork { network, holder } => {
                Self::WaitingForNetwork { network: text(network), holder: holder.map(HolderRecord::from) }
            }
            Event::Planned(plan) => Self::Planned {
                sidecar: plan.name().to_owned(),
                container: plan.sidecar.container.clone(),
                action: plan.action.to_string(),
                causes: plan.causes.iter().map(ToString::to_string).collect(),
            },
            Event::NetworkCreated(name) => Self::NetworkCreated { network: text(name) },
            Event::Pulling { sidecar, image } => Self::Pulling { sidecar: text(sidecar), image: text(image) },
            Event::PullProgress { sidecar, progress } => Self::PullProgress {
                sidecar: text(sidecar),
                current: progress.current,
                total: progress.total,
            },
            Event::Pulled { sidecar, image } => Self::Pulled { sidecar: text(sidecar), image: text(image) },
            Event::Stopping { sidecar, container, grace } => Self::Stopping {
                sidecar: text(sidecar),
                container: text(container),
                grace_ms: milliseconds(*grace),
            },
            Event::Delayed { sidecar, reason } => {
                Self::Delayed { sidecar: text(sidecar), reason: text(reason) }
            }
            Event::Created { sidecar, container } => {
                Self::Created { sidecar: text(sidecar), container: text(container) }
            }
            Event::Started { sidecar, container } => {
                Self::Started { sidecar: text(sidecar), container: text(container) }
            }
            Event::Waiting { sidecar, probe, until, timeout } => Self::Waiting {
                sidecar: text(sidecar),
                probe: text(probe),
                until: until.recorded.clone(),
                timeout_ms: milliseconds(*timeout),
            },
            Event::Answered { sidecar, probe, attempt, answer, took, .. } => Self::Answered {
                sidecar: text(sidecar),
                probe: text(probe),
                attempt: *attempt,
                answer: text(answer),
                took_ms: milliseconds(*took),
            },
            Event::Used { sidecar, probes } => Self::Used {
                sidecar: text(sidecar),
                probes: probes.iter().map(|(probe, used)| UsageRecord::of(probe, used)).collect(),
            },
            Event::Traced { sidecar, line } => Self::Traced { sidecar: text(sidecar), line: text(line) },
            Event::Ready { sidecar, after, attempts, last } => Self::Ready {
                sidecar: text(sidecar),
                after_ms: milliseconds(*after),
                attempts: *attempts,
                last_probe: last.map(text),
            },
            Event::Succeeded { sidecar, after } => {
                Self::Succeeded { sidecar: text(sidecar), after_ms: after.map(milliseconds) }
            }
            Event::Held { sidecar, after } => Self::Held { sidecar: text(sidecar), after: after.to_vec() },
            Event::Released { sidecar } => Self::Released { sidecar: text(sidecar) },
            Event::NoLongerReady { sidecar } => Self::NoLongerReady { sidecar: text(sidecar) },
            Event::NotReady(report) => Self::NotReady(Box::new(FailureRecord::from(*report))),
            Event::AllReady => Self::AllReady,
            Event::Reachable { sidecar, addresses } => {
                Self::Reachable { sidecar: text(sidecar), addresses: addresses.to_vec() }
            }
            Event::HarnessStarting => Self::HarnessStarting,
            Event::SidecarEnded(end) => Self::SidecarEnded(SidecarEndRecord::from(*end)),
            Event::HarnessEnded { exit_code } => Self::HarnessEnded { exit_code: *exit_code },
        }
    }
}

impl From<&SidecarEnd> for SidecarEndRecord {
    fn from(end: &SidecarEnd) -> Self {
        Self {
            sidecar: end.sidecar.clone(),
            container: end.container.clone(),
            message: end.sentence(),
            exit_code: end.exit_code,
            signal: end.signal.clone(),
            runs_again: end.runs_again,
            by_farrier: end.by_farrier,
            cause: end.cause.as_ref().map(CauseRecord::from),
            log: end.log.clone(),
        }
    }
}

impl From<&Cause> for CauseRecord {
    fn from(cause: &Cause) -> Self {
        Self { name: cause.as_str().to_owned(), message: cause.sentence() }
    }
}

impl From<&FailureReport> for FailureRecord {
    fn from(report: &FailureReport) -> Self {
        let probes = report.answers.iter().map(|answers| AnswersRecord {
            probe: answers.probe.clone(),
            until: answers.until.recorded.clone(),
            attempts: answers.attempts,
            answers: answers
                .seen
                .iter()
                .map(|answer| AnswerRecord {
                    answer: answer.text.clone(),
                    count: answer.count,
                    first_ms: milliseconds(answer.first),
                    last_ms: milliseconds(answer.last),
                })
                .collect(),
            extended_to_ms: answers.extended_to.map(milliseconds),
        });
        let state = report.container.as_ref().map(|container| StateRecord {
            status: container.status.to_string(),
            exit_code: container.exit_code,
            signal: container.signal(),
            oom_killed: container.oom_killed,
            error: container.error.clone(),
            restarts: container.restarts,
            health: container.health.as_ref().map(|health| {
                let run = |(exit_code, output): &(i64, String)| HealthRunRecord {
                    exit_code: *exit_code,
                    output: output.clone(),
                };
                health.runs.iter().map(run).collect()
            }),
        });
        let others = report.others.iter().map(|(sidecar, phase)| OtherRecord {
            sidecar: sidecar.clone(),
            state: phase.as_str().to_owned(),
        });
        Self {
            sidecar: report.sidecar.clone(),
            container: report.container_name.clone(),
            code: report.code.as_str().to_owned(),
            message: report.headline(),
            cause: report.cause.as_ref().map(CauseRecord::from),
            waited_ms: milliseconds(report.waited),
            timeout_ms: milliseconds(report.timeout),
            probes: probes.collect(),
            state,
            state_is_known: report.is_told,
            others: others.collect(),
            held_back: report.held_back.clone(),
            log: report.log.clone(),
            hints: report.hints.clone(),
        }
    }
}
