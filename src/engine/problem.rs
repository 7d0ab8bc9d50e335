//! What to tell people if an engine refused something.

use std::collections::BTreeMap;

use super::{EngineError, EngineErrorKind, Meaning};
use crate::plan::sidecar::{LABEL_DEFINITION, Sidecar};
use crate::report::error::{Code, Problem};
use crate::system::process_limits;

/// What to do if something that was there a moment ago is gone.
pub const RUN_AGAIN: &str = "Run the command again; farrier checks the state each time.";
/// What to do if a registry has an image only for other machines.
pub const NAME_ANOTHER_IMAGE: &str = "Name an image that is also built for this machine's architecture.";

/// What to do if a registry does not have an image.
#[must_use]
pub fn check_name(image: &str) -> String {
    format!("Check the name and the tag of `{image}`, and that it was pushed.")
}

impl EngineError {
    /// Whether the engine or a network has no address left.
    #[must_use]
    pub fn is_about_addresses(&self) -> bool {
        matches!(self.meaning, Some(Meaning::NoAddressRange | Meaning::NoAddress))
    }
}

/// A volume with the name of one that the sidecar mounts: `None` if it is the sidecar's own. `place` says where it is, and
/// `remove` is the command that removes it.
#[must_use]
pub fn volume_taken(
    sidecar: &Sidecar,
    labels: &BTreeMap<String, String>,
    place: &str,
    remove: &str,
) -> Option<Problem> {
    if sidecar.owns(labels) {
        return None;
    }
    let message = match labels.get(LABEL_DEFINITION) {
        Some(file) => format!("{place} belongs to another sidecar, of {file}"),
        None => format!("farrier did not create {place}"),
    };
    Some(
        Problem::error(Code::NameTaken, message)
            .of(sidecar.name())
            .at(sidecar.definition.place("mounts"))
            .hint(format!("Remove it with `{remove}` if nobody needs its data."))
            .hint("Or choose another name in `mounts`."),
    )
}

/// An engine's failure in the middle of something.
#[must_use]
pub fn engine_problem(doing: &str, error: &EngineError) -> Problem {
    if error.kind == EngineErrorKind::Unreachable
        && let Some(limit) = process_limits::reason_in(&error.message)
    {
        return process_limits::reached(&limit);
    }
    let (code, hint) = match error.kind {
        _ if error.is_about_addresses() => (Code::AddressPoolsExhausted, RUN_AGAIN),
        EngineErrorKind::Unreachable => (Code::EngineUnreachable, "Check that the engine runs."),
        EngineErrorKind::PermissionDenied => {
            (Code::EnginePermission, "Run as a user that may use the engine.")
        }
        EngineErrorKind::TimedOut => {
            (Code::EngineFailed, "The engine is busy or has hung: check its log, then run the command again.")
        }
        EngineErrorKind::Refused if error.meaning == Some(Meaning::DiskFull) => (Code::DiskFull, RUN_AGAIN),
        EngineErrorKind::NotFound | EngineErrorKind::Conflict | EngineErrorKind::Refused => {
            (Code::EngineFailed, RUN_AGAIN)
        }
    };
    let problem = Problem::error(code, format!("cannot {doing}: {error}"));
    if error.hints.is_empty() {
        return problem.hint(hint);
    }
    error.hints.iter().fold(problem, |problem, hint| problem.hint(*hint))
}
