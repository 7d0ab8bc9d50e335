//! What every page for people keeps to.

/// A stranger reads it whole before the first command; what is longer belongs to docs/.
const MOST_LINES: usize = 200;

#[test]
fn readme_can_be_read_in_one_sitting() {
    let readme = include_str!("../../README.md");
    assert!(readme.lines().count() <= MOST_LINES, "{} lines", readme.lines().count());
}
