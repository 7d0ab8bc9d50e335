//! A session: what one launch starts for itself, from its first change to the end of its harness. Its id is in the name and
//! in the labels of everything that belongs to it, so that whoever finds something of it on an engine knows whose it is.

use std::collections::BTreeMap;

use crate::definition::container_token;
use crate::definition::model::Definition;
use crate::definition::order::{edges, sort};

/// The label with the id of the session that something belongs to.
pub const LABEL_SESSION: &str = "farrier.session";
/// The label that says which host's lease tells whether the session goes on.
pub const LABEL_SESSION_HOST: &str = "farrier.session-host";
/// The label with an instance's rank: those of a higher one end first.
pub const LABEL_SESSION_RANK: &str = "farrier.session-rank";
/// The label of a session's network with the network that shared sidecars go to if they would be on none without it.
pub const LABEL_SESSION_HOME: &str = "farrier.session-home";

/// The label of a harness's container that farrier creates for a session, until it is started.
pub const LABEL_SESSION_HARNESS: &str = "farrier.session-harness";

/// How many hex digits an id has: 64 bits, which nobody guesses.
const DIGITS: usize = 16;
/// How the names of sessions' networks begin.
const NETWORK: &str = "farrier-session-";

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Its id, which no other session has.
    pub id: String,
    /// The host with its lease, as the label says it.
    pub host: String,
}

/// A sidecar's place in its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMember {
    /// The session.
    pub session: Session,
    /// How many others it comes after, one after another.
    pub rank: usize,
}

/// Whether a text has the form of a session's id.
#[must_use]
pub fn is_session_id(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Session {
    /// The session whose id and host these labels name; `None` if they name none.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Option<Self> {
        let id = labels.get(LABEL_SESSION).filter(|id| is_session_id(id))?.clone();
        Some(Self { id, host: labels.get(LABEL_SESSION_HOST).cloned().unwrap_or_default() })
    }

    /// Whether a session's network has this name.
    #[must_use]
    pub fn is_network(name: &str) -> bool {
        name.strip_prefix(NETWORK).is_some_and(is_session_id)
    }

    /// By what something of the session is known again.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_SESSION.to_owned(), self.id.clone()),
            (LABEL_SESSION_HOST.to_owned(), self.host.clone()),
        ])
    }

    /// The name of its network.
    #[must_use]
    pub fn network(&self) -> String {
        format!("{NETWORK}{}", self.id)
    }

    /// The name of the container of one of its sidecars.
    #[must_use]
    pub fn container(&self, sidecar: &str) -> String {
        format!("farrier-{}-{}", container_token(sidecar), self.id)
    }
}

impl SessionMember {
    /// The labels of an instance.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.session.labels();
        labels.insert(LABEL_SESSION_RANK.to_owned(), self.rank.to_string());
        labels
    }
}

/// The rank that the labels of a session's instance tell.
#[must_use]
pub fn rank_of(labels: &BTreeMap<String, String>) -> usize {
    labels.get(LABEL_SESSION_RANK).and_then(|rank| rank.parse().ok()).unwrap_or_default()
}

/// The rank of each definition: 0 if it comes after no other, else one more than the highest of those that it comes after.
pub fn ranks<'a>(definitions: impl Iterator<Item = &'a Definition> + Clone) -> Vec<usize> {
    let after: Vec<Vec<usize>> =
        edges(definitions).iter().map(|after| after.iter().map(|(place, _)| *place).collect()).collect();
    let mut ranks = vec![0; after.len()];
    // Definitions with a circle are not started.
    for place in sort(&after).unwrap_or_default() {
        ranks[place] = after[place].iter().map(|other| ranks[*other] + 1).max().unwrap_or_default();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fuzzing::definition;

    #[test]
    fn labels_name_a_session_only_with_an_id_of_its_form() {
        let session = Session { id: "0123456789abcdef".to_owned(), host: "host".to_owned() };
        assert_eq!(Session::of(&session.labels()), Some(session.clone()));
        for wrong in ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "../../../etc/pass"] {
            let labels = BTreeMap::from([(LABEL_SESSION.to_owned(), wrong.to_owned())]);
            assert_eq!(Session::of(&labels), None, "{wrong:?}");
        }
        assert_eq!(session.network(), "farrier-session-0123456789abcdef");
        assert_eq!(session.container("a b"), "farrier-a-b-0123456789abcdef");
    }

    #[test]
    fn what_comes_after_others_ends_before_them() {
        let named = |name: &str, after: &str| {
            let text = format!(
                "lifecycle = 'session'\nimage = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nafter = [{after}]"
            );
            definition(name, &text).expect("a definition")
        };
        let all =
            [named("web", "'db', 'migrate'"), named("migrate", "'db'"), named("db", ""), named("cache", "")];
        assert_eq!(ranks(all.iter()), [2, 1, 0, 0]);
    }
}
