//! What happens to tasks. The engine's events tell of services, not of their tasks, so the tasks are looked at again and again:
//! often after something happened, and less and less often while nothing does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;

use super::api::{SwarmApi, Task, TaskState};
use crate::engine::{Change, ChangeKind, EngineResult};
use crate::plan::sidecar::LABEL_SIDECAR;

/// The pause after something happened.
const SHORTEST: Duration = Duration::from_millis(100);
/// The pause after nothing has happened for long.
const LONGEST: Duration = Duration::from_secs(1);

/// How tasks are, by their ids.
type Known = BTreeMap<String, Task>;

struct Watching {
    api: Arc<dyn SwarmApi>,
    known: Known,
    pause: Duration,
    waiting: Vec<Change>,
}

/// What happens from a moment on: also what happened before it was asked about.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn changes(
    api: Arc<dyn SwarmApi>,
    since: Timestamp,
) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
    let tasks = api.tasks(LABEL_SIDECAR).await?;
    let late = tasks.iter().filter(|task| task.since >= since && task.state.has_ended());
    let waiting = late.map(|task| change(task, ChangeKind::Ended)).collect();
    let watching = Watching { api, known: by_id(tasks), pause: SHORTEST, waiting };
    let next = |mut watching: Watching| async move {
        loop {
            if let Some(change) = watching.waiting.pop() {
                return Some((Ok(change), watching));
            }
            tokio::time::sleep(watching.pause).await;
            match watching.api.tasks(LABEL_SIDECAR).await {
                Ok(tasks) => {
                    let now = by_id(tasks);
                    watching.waiting = differences(&watching.known, &now);
                    watching.known = now;
                    let is_quiet = watching.waiting.is_empty();
                    watching.pause = if is_quiet { (watching.pause * 2).min(LONGEST) } else { SHORTEST };
                }
                // Whoever listens opens another stream.
                Err(error) => return Some((Err(error), watching)),
            }
        }
    };
    Ok(stream::unfold(watching, next).boxed())
}

fn by_id(tasks: Vec<Task>) -> Known {
    tasks.into_iter().map(|task| (task.id.clone(), task)).collect()
}

fn change(task: &Task, kind: ChangeKind) -> Change {
    let time = i64::try_from(task.since.as_nanosecond()).unwrap_or_default();
    Change { instance: format!("{}.{}", task.service, task.making), kind, time }
}

/// What happened between two looks. Pure.
fn differences(before: &Known, now: &Known) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, task) in now {
        let known = before.get(id);
        if known.is_some_and(|known| (known.state, known.wanted) == (task.state, task.wanted)) {
            continue;
        }
        let was = |is: fn(&Task) -> bool| known.is_some_and(is);
        let is_over = |task: &Task| task.state.has_ended() || !task.is_wanted();
        let kind = if is_over(task) && !was(|known| known.state.has_ended() || !known.is_wanted()) {
            ChangeKind::Ended
        } else if task.state == TaskState::Running && !is_over(task) {
            ChangeKind::Started
        } else {
            ChangeKind::Other
        };
        // What the Swarm does not want any more has not told its end yet.
        let time =
            if task.state.has_ended() || kind != ChangeKind::Ended { change(task, kind).time } else { 0 };
        changes.push(Change { time, ..change(task, kind) });
    }
    let gone = before.iter().filter(|(id, _)| !now.contains_key(*id));
    changes.extend(gone.map(|(_, task)| Change { time: 0, ..change(task, ChangeKind::Ended) }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: TaskState, wanted: TaskState) -> Known {
        let task = Task {
            id: "t".to_owned(),
            service: "s".to_owned(),
            making: "m".to_owned(),
            state,
            wanted,
            ..Task::default()
        };
        Known::from([("t".to_owned(), task)])
    }

    #[test]
    fn what_happened_between_two_looks() {
        use TaskState::{Failed, Preparing, Running, Shutdown};
        let none = Known::new();
        for (before, now, expected) in [
            (&none, &none, None),
            (&none, &task(Preparing, Running), Some(ChangeKind::Other)),
            (&task(Preparing, Running), &task(Running, Running), Some(ChangeKind::Started)),
            (&task(Running, Running), &task(Running, Running), None),
            (&task(Running, Running), &task(Failed, Running), Some(ChangeKind::Ended)),
            (&task(Running, Running), &task(Running, Shutdown), Some(ChangeKind::Ended)),
            (&task(Running, Shutdown), &task(Shutdown, Shutdown), Some(ChangeKind::Other)),
            (&task(Running, Running), &none, Some(ChangeKind::Ended)),
        ] {
            let found = differences(before, now);
            assert_eq!(found.first().map(|change| change.kind), expected, "{before:?} {now:?}");
            assert!(found.iter().all(|change| change.instance == "s.m"));
        }
    }
}
