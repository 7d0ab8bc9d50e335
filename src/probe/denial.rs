//! Grants that somebody denied when approving a definition: their names, and what is left of a probe's grants without them.
//!
//! A name is what `farrier probe check --grant` begins with: a kind (`logs`), or a kind with one of its grants
//! (`dial=cache:6379`, `exec=["pg_isready","-q"]`, `dirs=/certs`, `env=PGUSER`). Denying a kind denies all grants of
//! that kind.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::catalogue::FoundProbe;
use super::directories::DirectoryCopy;
use super::grants::{dial_text, linked, without_grant};
use super::tls::Tls;
use crate::definition::grants::{DialGrant, DirGrant, Grants};
use crate::report::error::{Code, Place, Problem};

/// What a probe may use, with the content of the files that its definition names.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// The grants.
    pub grants: Arc<Grants>,
    /// How the probe speaks TLS, if it may.
    pub tls: Option<Arc<Tls>>,
    /// What the granted folders contain.
    pub directories: Vec<DirectoryCopy>,
}

/// The names of grants that were denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied(BTreeSet<String>);

fn dial_name(grant: &DialGrant) -> String {
    format!("dial={}", dial_text(grant))
}

/// Where a dial leads: no name stands for the sidecar itself.
fn place_of<'a>(grant: &'a DialGrant, (name, port): (&str, Option<u16>)) -> (Option<&'a str>, Option<u16>) {
    match grant {
        DialGrant::This(written) => (None, written.or(port)),
        DialGrant::Sidecar { name: other, port } => {
            (Some(other.as_str()).filter(|other| *other != name), Some(*port))
        }
    }
}

fn command_name(command: &[String]) -> String {
    format!("exec={}", serde_json::Value::from(command))
}

fn folder_name(grant: &DirGrant) -> String {
    format!("dirs={}", grant.guest)
}

fn variable_name(name: &str) -> String {
    format!("env={name}")
}

/// The names of all single grants, in the order in which a definition writes their kinds.
#[must_use]
pub fn names(grants: &Grants) -> Vec<String> {
    let mut names: Vec<String> = grants.dial.iter().map(dial_name).collect();
    names.extend(grants.tls.iter().map(|_| "tls".to_owned()));
    names.extend(grants.exec.iter().map(|command| command_name(command)));
    names.extend(grants.switches.iter().map(|switch| (*switch).to_owned()));
    names.extend(grants.dirs.iter().map(folder_name));
    names.extend(grants.env.iter().map(|name| variable_name(name)));
    names
}

/// The kind of a grant with this name.
fn kind(name: &str) -> &str {
    name.split('=').next().unwrap_or(name)
}

impl Denied {
    /// From names, if each of them is one of these grants, or the kind of one.
    ///
    /// # Errors
    /// The first name that is neither.
    pub fn of(names: impl IntoIterator<Item = String>, known: &[String]) -> Result<Self, String> {
        let names: BTreeSet<String> = names.into_iter().collect();
        let is_known = |name: &String| known.iter().any(|grant| grant == name || kind(grant) == name);
        match names.iter().find(|name| !is_known(name)) {
            Some(unknown) => Err(unknown.clone()),
            None => Ok(Self(names)),
        }
    }

    /// Reads a list of names, separated by commas. A command's own commas are inside of its brackets or quotes.
    #[must_use]
    pub fn split(list: &str) -> Vec<String> {
        let (mut names, mut name) = (Vec::new(), String::new());
        let (mut depth, mut is_quoted, mut is_escaped) = (0_u32, false, false);
        for character in list.chars() {
            match character {
                '[' if !is_quoted => depth += 1,
                ']' if !is_quoted => depth = depth.saturating_sub(1),
                '"' if !is_escaped => is_quoted = !is_quoted,
                _ => {}
            }
            is_escaped = character == '\\' && !is_escaped;
            if character == ',' && depth == 0 && !is_quoted {
                names.push(std::mem::take(&mut name));
            } else {
                name.push(character);
            }
        }
        names.push(name);
        names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    }

    /// Whether nothing is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name) || self.0.contains(kind(name))
    }

    /// What is left of these grants of a sidecar with this name and port. A place is denied by whatever name it is granted.
    #[must_use]
    pub fn applied_to(&self, declared: &Granted, own: (&str, Option<u16>)) -> Granted {
        let Granted { grants, tls, directories } = declared;
        let is_left = |name: String| !self.has(&name);
        let denied = grants.dial.iter().filter(|grant| self.has(&dial_name(grant)));
        let denied: Vec<_> = denied.map(|grant| place_of(grant, own)).collect();
        let folders = grants.dirs.iter().zip(directories).filter(|(grant, _)| is_left(folder_name(grant)));
        let (dirs, directories) = folders.map(|(grant, copy)| (grant.clone(), copy.clone())).unzip();
        let has_tls = !self.has("tls");
        let left = Grants {
            dial: grants
                .dial
                .iter()
                .filter(|grant| !denied.contains(&place_of(grant, own)))
                .cloned()
                .collect(),
            tls: grants.tls.clone().filter(|_| has_tls),
            exec: grants.exec.iter().filter(|command| is_left(command_name(command))).cloned().collect(),
            switches: grants.switches.iter().filter(|switch| !self.has(switch)).copied().collect(),
            dirs,
            env: grants.env.iter().filter(|name| is_left(variable_name(name))).cloned().collect(),
        };
        Granted { grants: Arc::new(left), tls: tls.clone().filter(|_| has_tls), directories }
    }
}

impl FoundProbe {
    /// Takes away what was denied.
    pub fn deny(&mut self, denied: &Denied, own: (&str, Option<u16>)) {
        // Without a denial, both are one, which costs nothing to compare.
        self.granted =
            if denied.is_empty() { self.declared.clone() } else { denied.applied_to(&self.declared, own) };
        self.interfaces = linked(&self.component, &self.granted.grants, self.built_in);
    }

    /// The grants that are not in force any more.
    #[must_use]
    pub fn denied(&self) -> Vec<String> {
        if Arc::ptr_eq(&self.declared.grants, &self.granted.grants) {
            return Vec::new();
        }
        let left = names(&self.granted.grants);
        names(&self.declared.grants).into_iter().filter(|name| !left.contains(name)).collect()
    }

    /// What it imports, and cannot be linked without what was denied.
    #[must_use]
    pub fn denied_imports(&self, place: impl FnOnce() -> Place) -> Vec<Problem> {
        if self.denied().is_empty() {
            return Vec::new();
        }
        let place = place();
        let problem = |import: &str| {
            let message =
                format!("the probe `{}` imports {import}, and the approval denies all of it", self.name);
            Problem::error(Code::ProbeNotGranted, message).at(place.clone()).hint(
                "The probe cannot run without it: approve the definition with this grant, or not at all.",
            )
        };
        without_grant(&self.component, &self.interfaces).map(problem).collect()
    }
}

impl From<Vec<String>> for Denied {
    /// Names that were checked before, as an approval stores them.
    fn from(names: Vec<String>) -> Self {
        Self(names.into_iter().collect())
    }
}

impl From<&Denied> for Vec<String> {
    fn from(denied: &Denied) -> Self {
        denied.0.iter().cloned().collect()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        formatter.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::grants::TlsGrant;

    const OWN: (&str, Option<u16>) = ("db", Some(5432));

    #[test]
    fn a_place_is_denied_by_each_of_its_names() {
        let dial = vec![
            DialGrant::This(None),
            DialGrant::This(Some(5432)),
            DialGrant::Sidecar { name: "db".to_owned(), port: 5432 },
            DialGrant::This(Some(81)),
        ];
        let all: Vec<String> = dial.iter().map(dial_name).collect();
        let declared =
            Granted { grants: Arc::new(Grants { dial, ..Grants::default() }), ..Granted::default() };
        for denied in &all[..3] {
            let left = Denied::of([denied.clone()], &all).expect(denied).applied_to(&declared, OWN);
            assert_eq!(names(&left.grants), ["dial=self:81"], "{denied}");
        }
    }

    fn declared() -> Granted {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let grants = Grants {
            dial: vec![
                DialGrant::This(None),
                DialGrant::This(Some(81)),
                DialGrant::Sidecar { name: "cache".to_owned(), port: 6379 },
            ],
            tls: Some(TlsGrant::default()),
            exec: vec![words(&["sh", "-c", "a, \"b\" ]"]), words(&["id"])],
            switches: BTreeSet::from(["health", "logs"]),
            dirs: Vec::new(),
            env: words(&["PGUSER", "PGPASSWORD"]),
        };
        Granted { grants: Arc::new(grants), ..Granted::default() }
    }

    #[test]
    fn each_grant_has_a_name_and_can_be_denied_alone_or_with_its_kind() {
        let declared = declared();
        let all = names(&declared.grants);
        insta::assert_snapshot!(all.join("\n"), @r#"
        dial=self
        dial=self:81
        dial=cache:6379
        tls
        exec=["sh","-c","a, \"b\" ]"]
        exec=["id"]
        health
        logs
        env=PGUSER
        env=PGPASSWORD
        "#);
        for name in &all {
            let denied = Denied::of([name.clone()], &all).expect(name);
            let left = names(&denied.applied_to(&declared, OWN).grants);
            let expected: Vec<&String> = all.iter().filter(|other| *other != name).collect();
            assert_eq!(left.iter().collect::<Vec<_>>(), expected, "{name}");
        }
        let kinds = ["dial", "tls", "exec", "health", "logs", "env"].map(str::to_owned);
        let denied = Denied::of(kinds, &all).expect("kinds");
        assert_eq!(names(&denied.applied_to(&declared, OWN).grants), Vec::<String>::new());
        assert_eq!(names(&Denied::default().applied_to(&declared, OWN).grants), all);
        for unknown in ["dial=self:82", "dirs", "exec=id", "log", ""] {
            assert_eq!(Denied::of([unknown.to_owned()], &all), Err(unknown.to_owned()));
        }
    }

    #[test]
    fn a_list_of_all_names_is_read_back() {
        let all = names(&declared().grants);
        assert_eq!(Denied::split(&all.join(", ")), all);
        assert_eq!(Denied::split(" logs ,, tls "), ["logs", "tls"]);
    }

    proptest! {
        #[test]
        fn commands_of_any_words_are_read_back(words in proptest::collection::vec("\\PC*", 1..4), more in "[a-z]{1,5}") {
            let name = command_name(&words);
            prop_assert_eq!(Denied::split(&format!("{name}, {more}")), [name.trim().to_owned(), more]);
        }
    }
}
