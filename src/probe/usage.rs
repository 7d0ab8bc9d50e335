//! What polls used of their grants, for whoever wants to know afterwards what a probe did. Only what is granted is counted, so
//! that the number of entries is bounded by the definition.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::quoted::word;

/// The most entries of one kind that are told.
const MOST_TOLD: usize = 20;
/// The most characters of a command that are told.
const LONGEST_COMMAND: usize = 200;

/// What one poll used, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The names and ports that it dialled, whether or not somebody answered, and how often.
    pub dialled: Vec<((String, u16), u64)>,
    /// How many TLS handshakes it began.
    pub handshakes: u64,
    /// The commands that it ran in the container, and how often.
    pub ran: Vec<(Vec<String>, u64)>,
    /// How often it asked for lines of the log.
    pub log_reads: u64,
    /// How often it asked for the health status.
    pub health_reads: u64,
    /// How often it ran the image's health test.
    pub health_tests: u64,
    /// The names of the variables that it read.
    pub variables: BTreeSet<String>,
    /// The folders that it asked for, by the paths at which it sees them.
    pub folders: BTreeSet<String>,
}

/// What the polls of one condition used, for whoever asks between them. A poll enters what it used when it ends, also when it
/// is cut short.
#[derive(Clone, Debug, Default)]
pub struct UsageTotal(Arc<Mutex<Usage>>);

impl UsageTotal {
    /// Enters what a poll used.
    pub fn enter(&self, used: Usage) {
        if !used.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).add(used);
        }
    }

    /// Takes out what was entered since the last time.
    #[must_use]
    pub fn take(&self) -> Usage {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Usage {
    /// Whether nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes dials of a granted place.
    pub fn note_dials(&mut self, host: &str, port: u16, times: u64) {
        match self.dialled.iter_mut().find(|((known, at), _)| known == host && *at == port) {
            Some((_, known)) => *known = known.saturating_add(times),
            None => self.dialled.push(((host.to_owned(), port), times)),
        }
    }

    /// Notes a run of a granted command.
    pub fn note_run(&mut self, command: &[String]) {
        self.note_runs(command.to_vec(), 1);
    }

    fn note_runs(&mut self, command: Vec<String>, times: u64) {
        match self.ran.iter_mut().find(|(known, _)| *known == command) {
            Some((_, known)) => *known = known.saturating_add(times),
            None => self.ran.push((command, times)),
        }
    }

    /// Adds what another poll used.
    pub fn add(&mut self, other: Self) {
        for ((host, port), times) in other.dialled {
            self.note_dials(&host, port, times);
        }
        for (command, times) in other.ran {
            self.note_runs(command, times);
        }
        for (sum, more) in [
            (&mut self.handshakes, other.handshakes),
            (&mut self.log_reads, other.log_reads),
            (&mut self.health_reads, other.health_reads),
            (&mut self.health_tests, other.health_tests),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.variables.extend(other.variables);
        self.folders.extend(other.folders);
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The first entries, and how many more there are.
fn listed(entries: impl ExactSizeIterator<Item = String>) -> String {
    let more = entries.len().saturating_sub(MOST_TOLD);
    let mut told: Vec<String> = entries.take(MOST_TOLD).collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told.join(", ")
}

impl fmt::Display for Usage {
    /// One clause for each kind of grant.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clauses = Vec::new();
        if !self.dialled.is_empty() {
            let each = self
                .dialled
                .iter()
                .map(|((host, port), count)| format!("{}:{port} {}", word(host), times(*count)));
            clauses.push(format!("dialled {}", listed(each)));
        }
        if self.handshakes > 0 {
            clauses.push(format!("began TLS {}", times(self.handshakes)));
        }
        if !self.ran.is_empty() {
            let each = self.ran.iter().map(|(command, count)| {
                let words = serde_json::Value::from(command.as_slice()).to_string();
                let shown: String = words.chars().take(LONGEST_COMMAND).collect();
                format!("{shown} {}", times(*count))
            });
            clauses.push(format!("ran {}", listed(each)));
        }
        for (what, count) in [
            ("read the log", self.log_reads),
            ("read the health status", self.health_reads),
            ("ran the health test", self.health_tests),
        ] {
            if count > 0 {
                clauses.push(format!("{what} {}", times(count)));
            }
        }
        for (what, names) in
            [("read the variables", &self.variables), ("asked for the folders", &self.folders)]
        {
            if !names.is_empty() {
                clauses.push(format!("{what} {}", listed(names.iter().map(|name| word(name)))));
            }
        }
        formatter.write_str(&clauses.join("; "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test")]

    use super::*;
    use crate::probe::capabilities::all;

    fn used() -> Usage {
        let mut usage = Usage { handshakes: 1, log_reads: 2, health_tests: 1, ..Usage::default() };
        usage.note_dials("db", 5432, 1);
        usage.note_run(&["sh".to_owned(), "-c".to_owned(), "a b".to_owned()]);
        usage.variables.insert("PGUSER".to_owned());
        usage
    }

    #[test]
    fn polls_add_up() {
        let mut sum = used();
        sum.add(used());
        sum.note_dials("db", 81, 3);
        insta::assert_snapshot!(sum, @r#"dialled db:5432 2 times, db:81 3 times; began TLS 2 times; ran ["sh","-c","a b"] 2 times; read the log 4 times; ran the health test 2 times; read the variables PGUSER"#);
        assert!(!sum.is_empty() && Usage::default().is_empty());
    }

    #[test]
    fn whatever_is_granted_is_counted() {
        for granted in all().filter(|capability| capability.grant.is_some()) {
            let mut usage = Usage::default();
            match granted.name {
                "dial" => usage.note_dials("db", 5432, 1),
                "tls" => usage.handshakes = 1,
                "exec" => usage.note_run(&["true".to_owned()]),
                "health" => usage.health_reads = 1,
                "logs" => usage.log_reads = 1,
                "env" => drop(usage.variables.insert("PGUSER".to_owned())),
                other => panic!("nobody is told what a probe does with the grant `{other}`"),
            }
            assert!(!usage.to_string().is_empty(), "{}", granted.name);
        }
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut usage = Usage::default();
        for port in 1..=100 {
            usage.note_dials("db", port, 1);
        }
        assert!(usage.to_string().ends_with("db:20 once, 80 more"), "{usage}");
    }
}
