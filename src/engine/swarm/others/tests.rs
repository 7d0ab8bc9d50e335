use std::collections::BTreeMap;

use super::*;
use crate::definition::fuzzing::definition;
use crate::plan::sidecar::Scopes;

const TEXT: &str = "image = 'x:1'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";

fn sidecar(text: &str) -> Sidecar {
    Sidecar::new(definition("db", text).expect("a definition"), &Scopes::default())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("a moment")
}

fn using(of: &Sidecar, networks: &[&str]) -> Want {
    Want::Use { of: made_of(of), networks: networks.iter().map(|&name| name.to_owned()).collect() }
}

fn mark(id: &str, machine: &str, created: i64, want: Want) -> Mark {
    Mark {
        id: id.to_owned(),
        wants: BTreeMap::from([("farrier-db".to_owned(), want)]),
        machine: machine.to_owned(),
        host: "there".to_owned(),
        process: 7,
        command: "docker run image".to_owned(),
        created_at: at(created),
        renewed_at: at(0),
    }
}

fn own(before: &[&str]) -> Own {
    Own { id: "own".to_owned(), before: before.iter().map(|&id| id.to_owned()).collect() }
}

#[test]
fn only_marks_that_are_renewed_on_other_machines_count() {
    let db = sidecar(TEXT);
    for (machine, service, now, expected) in [
        ("elsewhere", "farrier-db", 60, 1),
        ("elsewhere", "farrier-db", 61, 0),
        ("elsewhere", "farrier-cache", 0, 0),
        ("here", "farrier-db", 0, 0),
    ] {
        let marks = [mark("a", machine, 0, using(&db, &[]))];
        let users = Others::of(&marks, at(now), "here", None).users(service);
        assert_eq!(users.len(), expected, "{machine} {service} {now}");
        assert!(users.iter().all(|user| user.command == "docker run image, on there"));
    }
}

#[test]
fn of_two_that_want_another_one_only_the_later_gives_way() {
    let (db, other) = (sidecar(TEXT), sidecar(&TEXT.replace("x:1", "x:2")));
    let rivals = |own: Option<&Own>, marks: &[Mark], sidecar| {
        Others::of(marks, at(0), "here", own).rivals(sidecar).len()
    };
    for (created, own_mark, expected) in [
        (-1, Some(own(&[])), 1),
        (1, Some(own(&[])), 0),
        // It was there before, whatever a manager's clock says that was set back.
        (1, Some(own(&["a"])), 1),
        // A command that makes no mark of its own, such as `plan`.
        (1, None, 1),
        // This command's mark was removed, and is not made again yet.
        (1, Some(Own { id: "gone".to_owned(), ..Own::default() }), 1),
    ] {
        let marks =
            [mark("a", "elsewhere", created, using(&db, &[])), mark("own", "here", 0, using(&other, &[]))];
        assert_eq!(rivals(own_mark.as_ref(), &marks, &other), expected, "{created} {own_mark:?}");
        assert_eq!(rivals(own_mark.as_ref(), &marks, &db), 0, "one that wants just this is none");
    }
    // Each of both sees the other one as later, or as earlier: never both alike.
    let both = [mark("a", "there", 0, using(&db, &[])), mark("b", "here", 0, using(&other, &[]))];
    let of = |id: &str| Own { id: id.to_owned(), ..Own::default() };
    assert_eq!(Others::of(&both, at(0), "here", Some(&of("b"))).rivals(&other).len(), 1);
    assert_eq!(Others::of(&both, at(0), "there", Some(&of("a"))).rivals(&db).len(), 0);
    let removal = [mark("a", "elsewhere", -1, Want::Removal), mark("own", "here", 0, using(&db, &[]))];
    let found = Others::of(&removal, at(0), "here", Some(&own(&[]))).rivals(&db);
    assert!(found.iter().all(|rival| rival.removes) && found.len() == 1);
}

#[test]
fn who_uses_a_service_as_it_is_loses_it_to_nobody() {
    let (db, other) = (sidecar(TEXT), sidecar(&TEXT.replace("x:1", "x:2")));
    let on = BTreeSet::from(["one"]);
    for (want, is_as_declared, expected) in [
        (using(&db, &["one"]), true, 1),
        // It is about to make the service again itself.
        (using(&db, &["one"]), false, 0),
        (using(&db, &["one", "two"]), true, 0),
        (using(&other, &["one"]), true, 1),
    ] {
        let marks = [mark("a", "elsewhere", -1, want.clone()), mark("own", "here", 0, using(&db, &["one"]))];
        let own = own(&[]);
        let others = Others::of(&marks, at(0), "here", Some(&own));
        assert_eq!(others.content(&db, is_as_declared, &on).len(), expected, "{want:?} {is_as_declared}");
    }
}

#[test]
fn launches_that_want_it_on_other_networks_meet_on_all() {
    let db = sidecar(TEXT);
    let marks = [
        mark("a", "elsewhere", -1, using(&db, &["one"])),
        mark("own", "here", 0, using(&db, &["two"])),
        mark("z", "elsewhere", 1, using(&db, &["three"])),
    ];
    let own = own(&[]);
    let others = Others::of(&marks, at(0), "here", Some(&own));
    assert_eq!(
        others.networks(&db),
        BTreeSet::from(["one"]),
        "only the earlier one makes it again by itself"
    );
    assert_eq!(others.all_networks(&db), BTreeSet::from(["one", "three"]));
}

#[test]
fn a_run_that_began_after_the_mark_is_waited_for() {
    let db = sidecar(TEXT);
    let marks = [mark("a", "elsewhere", -2, using(&db, &[])), mark("own", "here", 0, using(&db, &[]))];
    let own = own(&[]);
    let others = Others::of(&marks, at(0), "here", Some(&own));
    assert!(others.awaits(&db, at(-1)) && others.awaits(&db, at(-2)));
    assert!(!others.awaits(&db, at(-3)), "an older run is no launch's that waits");
}
