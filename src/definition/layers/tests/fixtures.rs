//! The fixture folders of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::definition::layers::{LayerDirectories, load};
use crate::definition::refusals;
use crate::report::error::Code;
use crate::report::snippet::render;

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
}

#[test]
fn every_broken_fixture_is_reported() {
    let directory = fixtures("broken");
    let user = Some(directory.clone());
    let loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
    let files: BTreeSet<_> =
        fs::read_dir(&directory).expect("fixtures").flatten().map(|entry| entry.path()).collect();
    let reported: BTreeSet<_> = loaded
        .problems
        .iter()
        .filter(|problem| problem.is_error())
        .filter_map(|problem| problem.place.as_ref())
        .map(|place| place.source.path.clone())
        .collect();
    assert_eq!(files.len(), 30);
    assert_eq!(reported, files);
    for problem in &loaded.problems {
        assert!(!render(problem, false, 100).is_empty() && !problem.hints.is_empty());
    }
}

#[test]
fn the_python_launchers_files_load_unchanged() {
    let of = |folder| load(&LayerDirectories { user: Some(fixtures(folder)), ..LayerDirectories::default() });
    let started = of("python");
    assert_eq!(started.problems, []);
    assert!(started.definitions.len() >= 4);
    assert_eq!(refusals(&started.definitions), []);
    let refused = of("python/refused");
    assert_eq!(refused.problems, []);
    let codes: BTreeSet<_> = refusals(&refused.definitions).iter().map(|problem| problem.code).collect();
    let expected = [Code::UnsupportedInterface, Code::UnsupportedMount, Code::UnsupportedSecret];
    assert_eq!(codes, expected.into_iter().collect());
}
