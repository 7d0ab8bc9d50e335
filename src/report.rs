//! What farrier says to people: problems with their codes, exit codes, the long form of each code, and text made safe
//! to show. Knows nothing of what happens; events are in `event`.

pub mod elapsed;
pub mod error;
pub mod escape;
pub mod exit;
pub mod explanation;
pub mod quoted;
pub mod shell;
pub mod snippet;
