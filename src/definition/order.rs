//! What comes after what: the order in which sidecars start, as definitions declare it.
//!
//! Everything here takes time and memory in proportion to the sidecars and their `after`, however they are connected.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use super::model::Definition;
use crate::report::error::{Code, Problem};

/// How long a job may run if its definition says nothing.
pub const JOB_TIMEOUT: Duration = Duration::from_mins(5);
/// More names of a circle are counted, not listed.
const MOST_NAMES: usize = 10;

/// A sidecar that another one comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// Its name.
    pub sidecar: String,
    /// How far it has to be.
    pub until: Reached,
}

/// How far a sidecar is that others come after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Its instance was started.
    Started,
    /// It is ready; a job, that it succeeded.
    #[default]
    Ready,
    /// A job ended with 0.
    Succeeded,
}

impl Reached {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Started, Self::Ready, Self::Succeeded];

    /// As a definition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Succeeded => "succeeded",
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.sidecar, self.until.as_str())
    }
}

/// What the end of a sidecar means while the harness runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// It is told when the harness has ended.
    #[default]
    Warn,
    /// The harness is asked to end.
    Stop,
    /// The sidecar is started again.
    Restart,
}

impl OnExit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Warn, Self::Stop, Self::Restart];

    /// As a definition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// For each definition, the places of those that it comes after; names that none of them has are left out.
#[must_use]
pub fn edges<'a>(definitions: impl Iterator<Item = &'a Definition> + Clone) -> Vec<Vec<(usize, Reached)>> {
    let places: HashMap<&str, usize> = definitions
        .clone()
        .enumerate()
        .map(|(place, definition)| (definition.name.as_str(), place))
        .collect();
    let of = |definition: &Definition| {
        let known = definition.after.iter();
        known.filter_map(|after| Some((*places.get(after.sidecar.as_str())?, after.until))).collect()
    };
    definitions.map(of).collect()
}

/// Puts each after all that it comes after; those that may come in any order keep theirs. `after` holds places.
///
/// # Errors
/// The circles, if there are any: of each group that is connected, at least one, as places that come after each other.
pub fn sort(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut missing: Vec<usize> = after.iter().map(Vec::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); after.len()];
    for (place, before) in after.iter().enumerate() {
        for other in before {
            followers[*other].push(place);
        }
    }
    let mut free: VecDeque<usize> = (0..after.len()).filter(|place| missing[*place] == 0).collect();
    let mut sorted = Vec::with_capacity(after.len());
    while let Some(place) = free.pop_front() {
        sorted.push(place);
        for follower in &followers[place] {
            missing[*follower] -= 1;
            if missing[*follower] == 0 {
                free.push_back(*follower);
            }
        }
    }
    if sorted.len() == after.len() { Ok(sorted) } else { Err(circles(after, &missing)) }
}

/// Walks from each place that was not reached to one that it comes after, until a place is met again.
fn circles(after: &[Vec<usize>], missing: &[usize]) -> Vec<Vec<usize>> {
    let (mut circles, mut seen) = (Vec::new(), vec![false; after.len()]);
    for start in 0..after.len() {
        let mut path: Vec<usize> = Vec::new();
        let mut positions: HashMap<usize, usize> = HashMap::new();
        let mut at = start;
        while missing[at] > 0 && !seen[at] {
            seen[at] = true;
            positions.insert(at, path.len());
            path.push(at);
            // One that waits always waits for one that waits, too.
            let Some(next) = after[at].iter().find(|other| missing[**other] > 0) else { break };
            at = *next;
        }
        if let Some(position) = positions.get(&at) {
            circles.push(path.split_off(*position));
        }
    }
    circles
}

/// Checks what the merged definitions say of their order. `broken` are the names of others, whose errors were reported.
pub fn check(definitions: &[Definition], broken: &[String], problems: &mut Vec<Problem>) {
    let places: HashMap<&str, usize> =
        definitions.iter().enumerate().map(|(place, found)| (found.name.as_str(), place)).collect();
    let mut after: Vec<Vec<usize>> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let mut before: Vec<usize> = Vec::with_capacity(definition.after.len());
        for (index, one) in definition.after.iter().enumerate() {
            let place = places.get(one.sidecar.as_str()).copied();
            let named = place.map(|place| &definitions[place]);
            let is_twice = place.is_some_and(|place| before.contains(&place));
            match refused(definition, index, one, named, is_twice) {
                Some(_) if broken.contains(&one.sidecar) => {}
                Some(problem) => {
                    let place = definition.place(&format!("after[{index}]"));
                    problems.push(problem.at(place).of(&definition.name));
                }
                None => before.extend(place),
            }
        }
        after.push(before);
    }
    if let Err(circles) = sort(&after) {
        problems.extend(circles.iter().map(|circle| circle_problem(circle, definitions)));
    }
}

/// Why a definition cannot come after another one.
fn refused(
    definition: &Definition,
    index: usize,
    after: &After,
    named: Option<&Definition>,
    is_twice: bool,
) -> Option<Problem> {
    let (field, name) = (format!("after[{index}]"), &after.sidecar);
    let wrong = |message: String| Problem::error(Code::InvalidValue, message);
    if *name == definition.name {
        let problem = wrong(format!("`{field}`: `{name}` cannot come after itself"));
        return Some(problem.hint("Remove the name."));
    }
    let Some(named) = named else {
        let problem = wrong(format!("`{field}` names `{name}`, which is not a sidecar of this launch"));
        return Some(problem.hint("List the sidecars with `farrier plan`, or remove the name."));
    };
    if definition.layer.is_trusted() && !named.layer.is_trusted() {
        let problem = wrong(format!("`{field}` names `{name}`, which only the workspace declares"));
        let hint = "A trusted sidecar cannot wait for one of the workspace: remove the name, or declare that one in a \
                    trusted layer.";
        return Some(problem.hint(hint));
    }
    if after.until == Reached::Succeeded && named.job().is_none() {
        let problem =
            wrong(format!("`{field}` waits until `{name}` has succeeded, but `{name}` is not a job"));
        let hint = format!("Write `until = \"ready\"`, or `job = \"once\"` in the definition of `{name}`.");
        return Some(problem.hint(hint));
    }
    is_twice.then(|| {
        let message = format!("`{field}` names `{name}` again");
        Problem::error(Code::ConflictingFields, message).hint("Keep one of the two.")
    })
}

fn circle_problem(circle: &[usize], definitions: &[Definition]) -> Problem {
    let name = |place: &usize| format!("`{}`", definitions[*place].name);
    let shown: Vec<String> = circle.iter().take(MOST_NAMES).map(name).collect();
    let more = match circle.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" after {more} others"),
    };
    let back = circle.first().map(name).unwrap_or_default();
    let message = format!("{}{more} after {back}: none of them can start", shown.join(" comes after "));
    let problem = Problem::error(Code::AfterCircle, message)
        .hint("Remove one of these names from the `after` that contains it.");
    let (first, next) = (circle.first(), circle.get(1).or(circle.first()));
    let Some((first, next)) = first.zip(next) else { return problem };
    let (first, next) = (&definitions[*first], &definitions[*next]);
    let index = first.after.iter().position(|after| after.sidecar == next.name).unwrap_or_default();
    problem.at(first.place(&format!("after[{index}]"))).of(&first.name)
}

#[cfg(test)]
mod tests;
