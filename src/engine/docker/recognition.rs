//! Which containers farrier made.

use super::api::{Container, Image};
use super::spec::temporary_name;
use crate::definition::container_token;
use crate::plan::session::Session;
use crate::plan::sidecar::{LABEL_CONFIGURATION, LABEL_DEFINITION, LABEL_HASH, LABEL_SIDECAR};

/// Whether farrier made this container: it has a name of our shape for the sidecar that it says it is, and all
/// of our labels, which are not just those of its image (as of one that was committed from a sidecar).
pub(super) fn is_managed(container: &Container, image: Option<&Image>) -> bool {
    let label = |label: &str| container.labels.get(label);
    let complete =
        [LABEL_HASH, LABEL_DEFINITION, LABEL_CONFIGURATION].into_iter().all(|name| label(name).is_some());
    // No two containers have the same configuration there: each has a salt of its own.
    let inherited =
        image.is_some_and(|image| image.labels.get(LABEL_CONFIGURATION) == label(LABEL_CONFIGURATION));
    let session = Session::of(&container.labels);
    let is_named = |name: &String| is_name_of(name, &container.name, session.as_ref());
    complete && !inherited && label(LABEL_SIDECAR).is_some_and(is_named)
}

/// `farrier-NAME`, or the same with eight hex digits that tell a workspace or an organisation; of a session's sidecar the
/// same with the session's id, also with the end of a temporary name: nobody else looks for what a launch leaves of it.
pub(in crate::engine) fn is_name_of(sidecar: &str, container: &str, session: Option<&Session>) -> bool {
    let token = container_token(sidecar);
    if let Some(session) = session {
        let name = session.container(sidecar);
        return !token.is_empty() && (container == name || container == temporary_name(&name));
    }
    let is_scope = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|scope| {
            scope.len() == 8 && scope.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let rest = container.strip_prefix("farrier-").and_then(|rest| rest.strip_prefix(token.as_str()));
    !token.is_empty() && rest.is_some_and(|rest| rest.is_empty() || is_scope(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_have_the_shape() {
        for (sidecar, container, expected) in [
            ("db", "farrier-db", true),
            ("db", "farrier-db-0123abcd", true),
            ("db", "farrier-db_", false),
            ("db", "farrier-db-0123ABCD", false),
            ("db", "farrier-db-0123abcde", false),
            ("db", "farrier-cache", false),
            ("db", "db", false),
            ("a b", "farrier-a-b", true),
            ("...", "farrier-", false),
        ] {
            assert_eq!(is_name_of(sidecar, container, None), expected, "{sidecar} {container}");
        }
        let session = Session { id: "0123456789abcdef".to_owned(), host: String::new() };
        for (container, expected) in [
            ("farrier-db-0123456789abcdef", true),
            ("farrier-db-0123456789abcdef_", true),
            ("farrier-db-0123456789abcdee", false),
            ("farrier-db", false),
        ] {
            assert_eq!(is_name_of("db", container, Some(&session)), expected, "{container}");
        }
    }
}
