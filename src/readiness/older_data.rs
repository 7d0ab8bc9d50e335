//! Data that was carried over to a container whose environment changed: servers read a password or the name of a
//! database from their environment only when they first create their data.

use super::cause::Cause;
use crate::engine::Container;
use crate::sidecar::older_data;

/// Parts of what database servers say about credentials or names that they do not have, in lower case.
const REFUSALS: [&str; 6] = [
    "authentication failed",
    "access denied",
    "wrongpass",
    "invalid password",
    "unknown database",
    "\" does not exist",
];

/// The cause, if the data is older than the environment and the server refuses what the environment says.
pub fn cause<'a>(container: &Container, mut said: impl Iterator<Item = &'a str>) -> Option<Cause> {
    let fields = older_data(container);
    let refuses = |text: &str| {
        let text = text.to_lowercase();
        REFUSALS.iter().any(|refusal| text.contains(refusal))
    };
    (!fields.is_empty() && said.any(refuses)).then_some(Cause::OlderData { fields })
}
