//! The guests of the tests are committed as components. They must belong to the sources beside them.

use std::path::Path;
use std::process::Command;

const GUESTS: [&str; 3] = ["handshakes", "hostile", "standard"];

/// What the script says of its guests: of each, the digests of its sources and of the component in this folder.
fn stamp(root: &Path, folder: &str) -> String {
    let output = Command::new(root.join("tests/guests/build.sh"))
        .args(["--stamp", folder])
        .output()
        .expect("bash runs");
    String::from_utf8(output.stdout).expect("digests")
}

#[test]
fn the_guests_of_the_tests_were_built_from_what_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = std::fs::read_to_string(root.join("tests/fixtures/guests/stamp")).expect("the stamp");
    let names: Vec<&str> = committed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, GUESTS);
    let now = stamp(root, "tests/fixtures/guests");
    assert_eq!(
        committed, now,
        "sources or components changed since the guests were built: run `tests/guests/build.sh`"
    );
}
