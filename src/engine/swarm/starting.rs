//! Whether a task has started, and why it never will. Pure.

use super::api::{Node, Task, TaskState};
use super::instance::node_name;
use crate::engine::Meaning;
use crate::engine::docker::meaning;
use crate::plan::sidecar::Sidecar;
use crate::report::error::{Code, Problem};

/// How an engine begins to say that a container could not be started.
const NOT_STARTED: &str = "starting container failed";
/// How it says that it does not have an image, after it tried to fetch it.
const NO_IMAGE: &str = "no such image";
const CHECK_PROGRAM: &str =
    "Check that the image has the program that `entrypoint` and `command` name, for the nodes' architecture.";

/// How far a task is that was asked to start.
#[derive(Debug)]
pub(super) enum Start {
    /// It runs and has its name, or it has ended.
    Done,
    /// Its container is being started, or runs and its image's own health test, if any, has not passed yet: the Swarm does not say
    /// which.
    Starting,
    /// It may still start.
    NotYet,
    /// It does not start.
    Never(Never),
}

/// Why a task does not start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Never {
    /// No node may, or can, run it.
    NoNode(String),
    /// This node does not.
    Node { id: String, error: String },
    /// This node does not answer any more, and the Swarm starts no other task.
    Lost(String),
}

/// Looks at all tasks of one making.
pub(super) fn progress(tasks: &[&Task]) -> Start {
    let failed = |task: &&&Task| {
        task.state == TaskState::Rejected
            || (task.state == TaskState::Failed && task.error.contains(NOT_STARTED))
    };
    let Some(newest) = tasks.iter().max_by_key(|task| task.created_at) else { return Start::NotYet };
    // Where one node could not, another one may.
    let is_started = matches!(newest.state, TaskState::Starting | TaskState::Running);
    if let Some(task) = tasks.iter().find(failed).filter(|_| !is_started) {
        return Start::Never(Never::Node { id: task.node.clone(), error: task.error.clone() });
    }
    match newest.state {
        TaskState::Pending if !newest.error.is_empty() => Start::Never(Never::NoNode(newest.error.clone())),
        TaskState::Running => Start::Done,
        TaskState::Starting => Start::Starting,
        state if state.has_ended() => Start::Done,
        // The Swarm gives a task up once its node does not answer, and in the same moment makes the next one, if any.
        _ if !newest.is_wanted() && !newest.node.is_empty() => Start::Never(Never::Lost(newest.node.clone())),
        _ if tasks.len() > 1 => Start::Done,
        _ => Start::NotYet,
    }
}

/// What a task that has not started yet waits for.
pub(super) fn awaited(tasks: &[&Task], nodes: &[Node]) -> String {
    let Some(task) = tasks.iter().max_by_key(|task| task.created_at) else {
        return "the Swarm has not made the task yet".to_owned();
    };
    if task.node.is_empty() {
        return "no node has the task yet".to_owned();
    }
    let node = node_name(&task.node, nodes);
    if nodes.iter().any(|known| known.id == task.node && !known.is_ready) {
        return format!("the node {node}, which has the task, does not answer");
    }
    match task.state {
        TaskState::Starting => {
            format!(
                "the node {node} is starting the task; if its image has a health test, that has to pass, too"
            )
        }
        TaskState::Preparing => {
            format!("the node {node} has the task, and may be fetching its image")
        }
        _ => format!("the node {node} is about to start the task"),
    }
}

impl Never {
    /// What to tell people.
    pub(super) fn problem(&self, sidecar: &Sidecar, nodes: &[Node]) -> Problem {
        let image = sidecar.image.as_str();
        match self {
            Self::NoNode(error) => {
                let message = format!("no node runs the task of `{}`: {error}", sidecar.container);
                Problem::error(Code::StartFailed, message).hint(
                    "See the nodes with `docker node ls`, and what each offers with `docker node inspect`.",
                )
            }
            Self::Lost(id) => {
                let (node, service) = (node_name(id, nodes), &sidecar.container);
                let message = format!(
                    "the node {node} was about to start the task of `{service}`, but does not answer any more"
                );
                Problem::error(Code::StartFailed, message)
                    .hint("Run the command again: the Swarm then chooses a node that answers.")
                    .hint("Or write `restart = \"on-failure\"`: the Swarm then moves a task by itself.")
            }
            Self::Node { id, error } => {
                let node = node_name(id, nodes);
                let lower = error.to_lowercase();
                if lower.contains(NO_IMAGE)
                    || matches!(meaning(error), Some(Meaning::Denied | Meaning::NotFound))
                {
                    let message = format!("the node {node} cannot get the image `{image}`: {error}");
                    return Problem::error(Code::ImageUnavailable, message)
                        .at(sidecar.definition.place("image"))
                        .hint(
                            "Push the image to a registry that all nodes reach; farrier gives them the credentials of \
                             `docker login`.",
                        )
                        .hint("Or load it into the engine of each node: `docker save IMAGE | docker --host NODE load`.");
                }
                let code = match meaning(error) {
                    Some(Meaning::DiskFull) => Code::DiskFull,
                    Some(Meaning::ProgramMissing) => Code::ProgramMissing,
                    Some(Meaning::WrongArchitecture) => Code::WrongArchitecture,
                    _ => Code::StartFailed,
                };
                let message = format!("the node {node} cannot start `{}`: {error}", sidecar.container);
                Problem::error(code, message).at(sidecar.definition.place("entrypoint")).hint(CHECK_PROGRAM)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(state: TaskState, error: &str) -> Task {
        let wanted = TaskState::Running;
        Task { node: "n".to_owned(), state, wanted, error: error.to_owned(), ..Task::default() }
    }

    #[test]
    fn what_a_start_waits_for_is_told() {
        let node = |is_ready| Node { id: "n".to_owned(), hostname: "host".to_owned(), is_ready };
        let assigned = |state| Task { created_at: jiff::Timestamp::MAX, ..task(state, "") };
        let unassigned = Task { node: String::new(), ..task(TaskState::Pending, "") };
        for (task, is_ready, expected) in [
            (unassigned, true, "no node has the task yet"),
            (assigned(TaskState::Preparing), true, "has the task, and may be fetching its image"),
            (assigned(TaskState::Preparing), false, "which has the task, does not answer"),
            (assigned(TaskState::Ready), true, "is about to start the task"),
            (
                assigned(TaskState::Starting),
                true,
                "is starting the task; if its image has a health test, that has to pass, too",
            ),
        ] {
            // An earlier task of the same service counts no more.
            let earlier = Task { created_at: jiff::Timestamp::MIN, ..self::task(TaskState::Failed, "") };
            let told = awaited(&[&earlier, &task], &[node(is_ready)]);
            assert!(told.ends_with(expected), "{task:?}: {told}");
        }
        assert_eq!(awaited(&[], &[]), "the Swarm has not made the task yet");
    }

    #[test]
    fn a_task_starts_or_never_will() {
        use TaskState::{Complete, Failed, Pending, Preparing, Rejected, Running, Starting};
        for (state, error, expected) in [
            (Pending, "", "NotYet"),
            (Pending, "no suitable node (scheduling constraints not satisfied on 2 nodes)", "Never"),
            (Preparing, "", "NotYet"),
            (Starting, "", "Starting"),
            (Running, "", "Done"),
            (Complete, "", "Done"),
            (Failed, "task: non-zero exit (7)", "Done"),
            (Failed, "starting container failed: OCI runtime create failed", "Never"),
            (Rejected, "No such image: a:1", "Never"),
        ] {
            let task = task(state, error);
            let found = format!("{:?}", progress(&[&task]));
            assert!(found.starts_with(expected), "{state:?} {error}: {found}");
        }
        let (first, next) = (task(Rejected, "No such image: a:1"), task(Pending, ""));
        assert!(matches!(progress(&[&first, &next]), Start::Never(_)), "another node is tried in vain, too");
        let later = |state| Task { created_at: jiff::Timestamp::MAX, ..task(state, "") };
        assert!(matches!(progress(&[&first, &later(Running)]), Start::Done), "another node runs it");
        assert!(matches!(progress(&[&first, &later(Starting)]), Start::Starting));
        assert!(matches!(progress(&[]), Start::NotYet));
        let given_up = Task { wanted: TaskState::Shutdown, ..task(TaskState::Preparing, "") };
        assert!(matches!(progress(&[&given_up]), Start::Never(Never::Lost(_))), "its node is lost");
        assert!(
            !matches!(progress(&[&given_up, &later(Preparing)]), Start::Never(_)),
            "another task follows"
        );
    }
}
