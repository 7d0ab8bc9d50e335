//! The order over graphs of all shapes, and everything that is wrong with one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::definition::fuzzing::definition;
use crate::definition::model::Layer;

/// Ten thousand: more than anybody declares.
const MANY: usize = 10_000;

fn declared(name: &str, more: &str) -> Definition {
    let rest = if more.contains("job") { "" } else { "readiness.probe = 'skip'" };
    let text = format!("image = 'x'\ninterface.kind = 'none'\nlifecycle = 'shared'\n{more}\n{rest}");
    definition(name, &text).expect("a definition")
}

fn problems(definitions: &[Definition]) -> Vec<Problem> {
    let mut problems = Vec::new();
    check(definitions, &[], &mut problems);
    problems
}

/// Whether each place comes after all that it has to.
fn is_sorted(sorted: &[usize], after: &[Vec<usize>]) -> bool {
    let mut positions = vec![usize::MAX; after.len()];
    sorted.iter().enumerate().for_each(|(position, place)| positions[*place] = position);
    let follows = |place: usize| after[place].iter().all(|other| positions[*other] < positions[place]);
    sorted.len() == after.len() && (0..after.len()).all(follows)
}

/// Graphs of up to 40 places; half of the time without a circle, because each comes only after earlier ones.
fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (1_usize..40, any::<bool>()).prop_flat_map(|(places, is_acyclic)| {
        let each = (0..places).map(move |place| {
            let most = if is_acyclic { place } else { places };
            let others = vec(0..most.max(1), 0..4);
            others.prop_map(move |mut others| {
                others.retain(|other| *other != place);
                others.sort_unstable();
                others.dedup();
                if is_acyclic && place == 0 { Vec::new() } else { others }
            })
        });
        each.collect::<Vec<_>>()
    })
}

/// Whether a place is among all that it comes after, found by taking away what comes after nothing until nothing is left.
fn has_circle(after: &[Vec<usize>]) -> bool {
    let mut left: Vec<usize> = (0..after.len()).collect();
    loop {
        let before = left.len();
        let waits = |place: &usize| after[*place].iter().any(|other| left.contains(other));
        left = left.iter().copied().filter(waits).collect();
        if left.len() == before {
            return !left.is_empty();
        }
    }
}

proptest! {
    #[test]
    fn each_comes_after_all_that_it_has_to_or_a_circle_says_why_not(after in graphs()) {
        match sort(&after) {
            Ok(sorted) => prop_assert!(is_sorted(&sorted, &after) && !has_circle(&after), "{sorted:?}"),
            Err(circles) => {
                prop_assert!(has_circle(&after) && !circles.is_empty());
                for circle in circles {
                    let next = circle.iter().cycle().skip(1);
                    for (place, next) in circle.iter().zip(next) {
                        prop_assert!(after[*place].contains(next), "{circle:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn ten_thousand_in_a_chain_and_in_a_star_are_sorted() {
    let chain: Vec<Vec<usize>> =
        (0..MANY).map(|place| if place + 1 < MANY { vec![place + 1] } else { Vec::new() }).collect();
    assert!(is_sorted(&sort(&chain).expect("no circle"), &chain));
    let star: Vec<Vec<usize>> =
        (0..MANY).map(|place| if place == 0 { Vec::new() } else { vec![0] }).collect();
    assert!(is_sorted(&sort(&star).expect("no circle"), &star));
    let all: Vec<Vec<usize>> =
        (0..MANY).map(|place| if place == 0 { (1..MANY).collect() } else { Vec::new() }).collect();
    assert!(is_sorted(&sort(&all).expect("no circle"), &all));
    let ring: Vec<Vec<usize>> = (0..MANY).map(|place| vec![(place + 1) % MANY]).collect();
    let circles = sort(&ring).expect_err("a circle");
    assert_eq!(circles.iter().map(Vec::len).collect::<Vec<_>>(), [MANY]);
}

#[test]
fn ten_thousand_definitions_are_checked() {
    let mut one = declared("x", "");
    let mut of = |name: String, after: Vec<String>| {
        one.after = after.into_iter().map(|sidecar| After { sidecar, until: Reached::Ready }).collect();
        Definition { name, ..one.clone() }
    };
    let name = |place: usize| format!("s{place}");
    let chain: Vec<Definition> = (0..MANY)
        .map(|place| of(name(place), (place + 1 < MANY).then(|| name(place + 1)).into_iter().collect()))
        .collect();
    assert_eq!(problems(&chain), []);
    let star: Vec<Definition> =
        (0..MANY).map(|place| of(name(place), if place == 0 { vec![] } else { vec![name(0)] })).collect();
    assert_eq!(problems(&star), []);
    let ring: Vec<Definition> =
        (0..MANY).map(|place| of(name(place), vec![name((place + 1) % MANY)])).collect();
    let found = problems(&ring);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.len() < 400, "{}", found[0].message);
}

#[test]
fn what_cannot_be_is_told_with_a_way_out() {
    let job = "job = 'once'";
    for (definitions, expected) in [
        (vec![("a", "after = ['b']"), ("b", "")], vec![]),
        (vec![("a", "after = [{ sidecar = 'b', until = 'succeeded' }]"), ("b", job)], vec![]),
        (vec![("a", "after = [{ sidecar = 'b', until = 'started' }, 'c']"), ("b", job), ("c", "")], vec![]),
        (vec![("a", "after = ['a']")], vec!["`after[0]`: `a` cannot come after itself"]),
        (vec![("a", "after = ['b']")], vec!["`after[0]` names `b`, which is not a sidecar of this launch"]),
        (vec![("a", "after = ['b', 'b']"), ("b", "")], vec!["`after[1]` names `b` again"]),
        (
            vec![("a", "after = [{ sidecar = 'b', until = 'succeeded' }]"), ("b", "")],
            vec!["`after[0]` waits until `b` has succeeded, but `b` is not a job"],
        ),
        (
            vec![("a", "after = ['b']"), ("b", "after = ['a']"), ("c", "after = ['a']")],
            vec!["`a` comes after `b` after `a`: none of them can start"],
        ),
        (
            vec![
                ("a", "after = ['b']"),
                ("b", "after = ['a']"),
                ("c", "after = ['d']"),
                ("d", "after = ['c']"),
            ],
            vec![
                "`a` comes after `b` after `a`: none of them can start",
                "`c` comes after `d` after `c`: none of them can start",
            ],
        ),
    ] {
        let definitions: Vec<Definition> =
            definitions.iter().map(|(name, more)| declared(name, more)).collect();
        let found = problems(&definitions);
        let messages: Vec<&str> = found.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, expected);
        assert!(
            found.iter().all(|problem| !problem.hints.is_empty() && problem.place.is_some()),
            "{found:?}"
        );
    }
}

#[test]
fn a_workspace_makes_no_trusted_sidecar_wait_and_errors_are_told_once() {
    let mut definitions = vec![declared("a", "after = ['b']"), declared("b", "")];
    definitions[1].layer = Layer::Workspace;
    let found = problems(&definitions);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "`after[0]` names `b`, which only the workspace declares");
    definitions[0].layer = Layer::Workspace;
    assert_eq!(problems(&definitions), []);
    definitions[1].layer = Layer::User;
    assert_eq!(problems(&definitions), [], "one of the workspace waits for a trusted one");
    let mut told = Vec::new();
    check(&definitions[..1], &["b".to_owned()], &mut told);
    assert_eq!(told, [], "what is broken was told already");
}
