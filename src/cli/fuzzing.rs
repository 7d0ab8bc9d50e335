//! Texts of others through everything that is printed: for people, and as JSON for programs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::data::indented;
use super::probe::inspected;
use super::{explain, logs, ps};
use crate::approval::fuzzing::assert_question;
use crate::approval::question::{Earlier, Question};
use crate::approval::statement::{Change, Kept, Line, Statement};
use crate::definition::Rank;
use crate::definition::fuzzing::definition;
use crate::engine::PullProgress;
use crate::event::Event;
use crate::event::failure::cause;
use crate::event::failure::evidence::{Answer, Answers, FailureReport};
use crate::event::failure::phase::Phase;
use crate::event::failure::sidecar_end::SidecarEnd;
use crate::event::record::FailureRecord;
use crate::event::sinks::fuzzing::assert_event;
use crate::fuzzing::{assert_json, assert_shown, assert_told};
use crate::manage::managed::{Inventory, Managed, SyncStatus};
use crate::plan::instance::{Endpoint, Health, HealthStatus, Instance, Mounted, Status};
use crate::plan::sidecar::{Scopes, Sidecar};
use crate::plan::{Action, Cause, NetworkAction, NetworkPlan, Plan, SidecarPlan, Step};
use crate::probe::component::ComponentFile;
use crate::probe::observed::Observed;
use crate::probe::usage::Usage;
use crate::report::error::{Code, Place, Problem, Source};
use crate::system::lock::Holder;

/// Stands between texts; no text has it.
const SEPARATOR: u8 = 0xff;

/// Texts in turn, from the first again after the last.
struct Texts {
    all: Vec<String>,
    given: usize,
}

impl Texts {
    fn of(data: &[u8]) -> Self {
        let parts = data.split(|byte| *byte == SEPARATOR);
        Self { all: parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect(), given: 0 }
    }

    fn next(&mut self) -> String {
        let text = self.all.get(self.given % self.all.len().max(1)).cloned().unwrap_or_default();
        self.given += 1;
        text
    }

    fn pair(&mut self) -> (String, String) {
        (self.next(), self.next())
    }
}

/// The first byte says what is shown; the rest is texts, with 0xff between them, wherever a definition, a probe, a
/// container or an engine has one.
pub fn rendered_text(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let texts = &mut Texts::of(data);
    match kind % 7 {
        0 => problems(texts),
        1 => {
            events(texts);
            sidecar_end(texts);
        }
        2 => report(texts),
        3 => question(texts),
        4 => plan(texts),
        5 => inventory(texts),
        _ => bytes(data),
    }
}

/// Checks a container's output, and a name of an error that somebody typed.
fn bytes(data: &[u8]) {
    let log = String::from_utf8(logs::for_terminal(data)).unwrap_or_else(|_| "\u{1b}".to_owned());
    assert_shown(&log.replace('\t', ""));
    if let Err(problem) = explain::one(&String::from_utf8_lossy(data)) {
        assert_told(&problem);
    }
}

/// Checks the output of `inspect` for a component.
pub(crate) fn assert_inspected(file: &ComponentFile) {
    let (human, json) = inspected(file);
    assert_shown(&human);
    printed(&json);
}

/// JSON as commands print it.
fn printed(value: &serde_json::Value) {
    assert_json(value);
    let text = indented(value);
    assert_shown(&text);
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|read| read == *value));
}

fn problems(texts: &mut Texts) {
    let text = texts.next();
    let source = Arc::new(Source { path: PathBuf::from(texts.next()), text });
    let end = source.text.char_indices().nth(3).map_or(source.text.len(), |(at, _)| at);
    let place = Place { source, span: 0..end };
    let name = texts.next();
    let problem = Problem::error(Code::InvalidValue, format!("`{name}` is wrong")).at(place).of(name);
    let problem = problem.hint(format!("Write {}.", texts.next()));
    assert_told(&problem);
    assert_event(&Event::Problem(&problem));
}

fn used(one: &str, other: &str) -> Usage {
    let mut used = Usage { log_reads: 1, ..Usage::default() };
    used.note_dials(one, 1, 2);
    used.note_run(&[one.to_owned(), other.to_owned()]);
    used.variables.insert(other.to_owned());
    used
}

fn events(texts: &mut Texts) {
    let (sidecar, probe) = &texts.pair();
    let (answer, image) = &texts.pair();
    let took = Duration::from_millis(1500);
    let progress = PullProgress { current: 7 << 20, total: 9 << 20 };
    let holder = Holder { process: 7, command: (*image).clone() };
    for event in [
        Event::WaitingForLaunch { sidecar, holder: Some(&holder) },
        Event::WaitingForNetwork { network: sidecar, holder: None },
        Event::NetworkCreated(sidecar),
        Event::Stopping { sidecar, container: image, grace: Duration::from_secs(10) },
        Event::Delayed { sidecar, reason: answer },
        Event::Pulling { sidecar, image },
        Event::PullProgress { sidecar, progress },
        Event::Started { sidecar, container: image },
        Event::Answered { sidecar, probe, attempt: 1, answer, took, changed: true },
        Event::Traced { sidecar, line: answer },
        Event::Used { sidecar, probes: &[((*probe).clone(), used(answer, image))] },
        Event::Ready { sidecar, after: took, attempts: 2, last: Some(probe) },
        Event::HarnessStarting,
        Event::HarnessEnded { exit_code: 0 },
    ] {
        assert_event(&event);
    }
}

fn instance(texts: &mut Texts) -> Instance {
    let endpoint = Endpoint { network_id: texts.next(), aliases: vec![texts.next()], ..Endpoint::default() };
    let (id, name) = texts.pair();
    Instance {
        id,
        name,
        labels: [texts.pair()].into(),
        image_id: texts.next(),
        status: Status::Exited,
        exit_code: 3,
        error: texts.next(),
        started_at: texts.next(),
        finished_at: "2026-03-01T11:30:00Z".to_owned(),
        restarts: 2,
        health: Some(Health { status: HealthStatus::Unhealthy, runs: vec![(1, texts.next())] }),
        memory: 1 << 20,
        networks: [(texts.next(), endpoint)].into(),
        ..Instance::default()
    }
}

fn report(texts: &mut Texts) {
    let container = instance(texts);
    let observed = Observed { not_granted: Some(texts.next()), ..Observed::default() };
    let mut answers =
        Answers { probe: texts.next(), until: texts.next().into(), observed, ..Answers::default() };
    answers.note(&texts.next(), Duration::from_secs(1));
    answers.seen.push(Answer { text: texts.next(), first: Duration::ZERO, last: Duration::ZERO, count: 2 });
    let (code, output) = (1, texts.next());
    let report = FailureReport {
        sidecar: texts.next(),
        reference: texts.next(),
        whole_log: texts.next(),
        is_kept: true,
        container_name: container.name.clone(),
        code: Code::NotReady,
        reason: texts.next(),
        waited: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        answers: vec![answers],
        container: Some(container),
        is_told: true,
        command: Some(vec![texts.next()]),
        env_in_settings: Vec::new(),
        by_health: true,
        listeners: None,
        cause: Some(cause::Cause::HealthTestFails { code, output }),
        others: vec![(texts.next(), Phase::Ready)],
        held_back: vec![texts.next(), texts.next()],
        log: vec![texts.next(), texts.next()],
        hints: vec![format!("See it with `farrier logs {}`.", texts.next())],
    };
    printed(&serde_json::to_value(FailureRecord::from(&report)).unwrap_or_default());
    assert_event(&Event::NotReady(&report));
}

fn sidecar_end(texts: &mut Texts) {
    let end = SidecarEnd {
        sidecar: texts.next(),
        container: texts.next(),
        exit_code: Some(3),
        signal: None,
        runs_again: true,
        by_farrier: false,
        cause: Some(cause::Cause::Exited { code: 3 }),
        log: vec![texts.next(), texts.next()],
    };
    assert_event(&Event::SidecarEnded(&end));
}

fn question(texts: &mut Texts) {
    let kept = Kept::Words;
    // Every label begins with a word of farrier's own.
    let mut label = || format!("env {}", texts.next());
    let labels = [label(), label(), label()];
    let lines =
        labels.into_iter().map(|label| Line { label, text: texts.next(), kept, rank: Rank::Usual }).collect();
    let question = Question {
        name: texts.next(),
        workspace: texts.next(),
        verb: "declares",
        file: texts.next(),
        hash: "a".repeat(64),
        command: "farrier approve".to_owned(),
        statement: Statement { lines, controls_machine: texts.given.is_multiple_of(2) },
        grants: vec![texts.next()],
        earlier: Some(Earlier {
            denied: vec![texts.next()],
            approved_at: texts.next(),
            worktree: Some(texts.next()),
            changes: vec![
                Change { label: texts.next(), approved: Some(texts.next()), now: None },
                Change { label: texts.next(), approved: None, now: Some(texts.next()) },
            ],
        }),
    };
    assert_question(&question);
}

fn plan(texts: &mut Texts) {
    let container = instance(texts);
    let volume = |texts: &mut Texts| Mounted {
        kind: "volume".to_owned(),
        source: texts.next(),
        target: texts.next(),
        writable: true,
    };
    let (from, to) = texts.pair();
    let text = "image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";
    let Some(definition) = definition(&texts.next(), text) else { return };
    let sidecar = SidecarPlan {
        sidecar: Arc::new(Sidecar::new(definition, &Scopes::default())),
        existing: Some(container),
        action: Action::Recreate,
        causes: vec![
            Cause::Configuration(vec![texts.next(), texts.next()]),
            Cause::Drifted(vec![texts.next()]),
            Cause::Image { from, to },
        ],
        steps: vec![
            Step::Pull,
            Step::Connect { network: texts.next(), again: false },
            Step::Connect { network: texts.next(), again: true },
            Step::RemoveLeftover { instance: texts.next() },
            Step::Carry {
                volumes: vec![volume(texts)],
                changed_since: std::collections::BTreeMap::new(),
                sidecar: texts.next(),
            },
            Step::LeaveVolume { volume: volume(texts), removal: Some(texts.next()) },
        ],
    };
    assert_event(&Event::Planned(&sidecar));
    let action = NetworkAction::Use { id: texts.next(), surplus: vec![texts.next()] };
    let plan = Plan {
        network: NetworkPlan { name: texts.next(), is_own: true, session: None, action },
        sidecars: vec![sidecar],
        warnings: Vec::new(),
    };
    printed(&plan.to_json());
    let text = plan.to_string();
    assert_shown(&text);
    assert_eq!(text.lines().count(), 9, "a line each, and none of them forged: {text:?}");
}

fn inventory(texts: &mut Texts) {
    let container = instance(texts);
    let name = texts.next();
    let sync_status = SyncStatus::Stale(vec![Cause::Configuration(vec![texts.next()])]);
    let holders = vec![Holder { process: 7, command: texts.next() }];
    let managed = Managed {
        name,
        engine: "docker",
        container,
        instance: None,
        session: None,
        is_job: false,
        ports: vec![80],
        definition: PathBuf::from(texts.next()),
        sync_status,
        holders,
    };
    let inventory = Inventory {
        sidecars: vec![managed],
        absent: vec![texts.next(), texts.next()],
        volumes: Vec::new(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let widths = [None, Some(40), Some(100), Some(200)];
    let width = widths.get(texts.all.first().map_or(0, String::len) % widths.len()).copied().flatten();
    assert_shown(&ps::human(&inventory, width));
    printed(&ps::as_json(&inventory));
}
