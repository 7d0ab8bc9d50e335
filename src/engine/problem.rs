//! What to tell people where an engine refused something.

use super::words::{Meaning, meaning};
use super::{EngineError, EngineErrorKind};
use crate::report::error::{Code, Problem};
use crate::system::process_limits;

/// What to do where the engine's disk is full.
pub const MAKE_ROOM: &str =
    "Make room: `docker system df` tells what takes it, and `docker system prune` removes what is unused.";
/// What to do if the engine has no range of addresses left.
const FREE_ADDRESS_RANGES: [&str; 2] = [
    "Remove unused networks with `docker network prune`.",
    "Or give the engine more ranges: set `default-address-pools` in its `daemon.json`, and restart it.",
];
/// What to do if a network has no address left.
const FREE_ADDRESSES: &str = "Remove containers from the network, or create it with a larger `--subnet`: `docker network inspect` lists both.";
/// What to do where something that was there a moment ago is gone.
pub const RUN_AGAIN: &str = "Run the command again; the state is looked at anew each time.";

/// What to do, if the engine's words are about addresses.
#[must_use]
pub fn about_addresses(message: &str) -> Option<&'static [&'static str]> {
    match meaning(message)? {
        Meaning::NoAddressRange => Some(&FREE_ADDRESS_RANGES),
        Meaning::NoAddress => Some(&[FREE_ADDRESSES]),
        _ => None,
    }
}

/// An engine's failure in the middle of something.
#[must_use]
pub fn engine_problem(doing: &str, error: &EngineError) -> Problem {
    if error.kind == EngineErrorKind::Unreachable
        && let Some(limit) = process_limits::reason_in(&error.message)
    {
        return process_limits::reached(&limit);
    }
    let problem = |code| Problem::error(code, format!("cannot {doing}: {error}"));
    if let Some(hints) = about_addresses(&error.message) {
        return hints.iter().fold(problem(Code::AddressPoolsExhausted), |problem, hint| problem.hint(*hint));
    }
    match error.kind {
        EngineErrorKind::Unreachable => problem(Code::EngineUnreachable)
            .hint("Check that the engine runs, for example with `docker info`."),
        EngineErrorKind::PermissionDenied => problem(Code::EnginePermission)
            .hint("Join the group that may use the socket (`docker`), or use a rootless engine."),
        EngineErrorKind::TimedOut => problem(Code::EngineFailed)
            .hint("The engine is busy or hangs: look at its own log, then run the command again."),
        EngineErrorKind::Refused if meaning(&error.message) == Some(Meaning::DiskFull) => {
            problem(Code::DiskFull).hint(MAKE_ROOM)
        }
        EngineErrorKind::NotFound | EngineErrorKind::Conflict | EngineErrorKind::Refused => {
            problem(Code::EngineFailed).hint(RUN_AGAIN)
        }
    }
}
