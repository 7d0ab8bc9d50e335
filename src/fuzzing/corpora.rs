//! Every committed input of every target, through the very functions that are fuzzed.

use std::path::{Path, PathBuf};

use super::TARGETS;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn every_committed_input_keeps_the_promises() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    // A package of sources leaves out what has a manifest of its own.
    if !folder.exists() {
        return;
    }
    let corpora: Vec<String> = entries(&folder.join("corpus")).iter().map(|path| name(path)).collect();
    let targets: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
    assert_eq!(corpora, targets, "each target has a corpus");
    for (target, run) in TARGETS {
        let inputs = entries(&folder.join("corpus").join(target));
        assert!(!inputs.is_empty(), "{target} has inputs");
        for input in inputs {
            let bytes = std::fs::read(&input).expect("an input");
            let result = std::panic::catch_unwind(|| run(&bytes));
            assert!(result.is_ok(), "{target} breaks on {}", name(&input));
        }
    }
}

#[test]
fn every_target_has_a_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !folder.exists() {
        return;
    }
    let programs: Vec<String> = entries(&folder.join("fuzz_targets")).iter().map(|path| name(path)).collect();
    let expected: Vec<String> = TARGETS.iter().map(|(target, _)| format!("{target}.rs")).collect();
    assert_eq!(programs, expected);
}
