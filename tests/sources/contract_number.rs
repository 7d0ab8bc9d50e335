//! One number of the contract: every file that names the contract names the version that `wit/probe.wit` has.

use std::path::{Path, PathBuf};

/// The package, as it begins in sources and documents.
const PACKAGE: &str = "farrier:probe";
/// Who names another version, and means it: what began with it, or a host and a component of different versions.
const OTHERS: [(&str, &str); 8] = [
    ("ARCHITECTURE.md", "0.1.1"),
    ("CHANGELOG.md", "0.1.0"),
    ("docs/capabilities.md", "0.1.3"),
    ("docs/writing-a-probe.md", "0.1.0"),
    ("src/probe/catalogue.rs", "0.1.0"),
    ("src/probe/component.rs", "0.2.0"),
    ("src/probe/contract.rs", "0.1.3"),
    ("src/probe/since_0_1_0.rs", "0.1.0"),
];
/// What holds tests of other versions, and what is made or was recorded.
const ELSEWHERE: [&str; 6] = ["target", "tests", "fuzz", ".git", "probes/built", "src/probe/contract"];

fn collect(folder: &Path, root: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let inside = path.strip_prefix(root).expect("inside");
        let is_made = path.components().any(|part| part.as_os_str() == "target");
        if is_made || path.is_symlink() || ELSEWHERE.iter().any(|other| inside.starts_with(other)) {
            continue;
        }
        if path.is_dir() {
            collect(&path, root, files);
        } else {
            files.push(path);
        }
    }
}

/// The versions that a line names, as `farrier:probe@1.2.3` or `farrier:probe/dial@1.2.3`.
fn versions(line: &str) -> impl Iterator<Item = &str> {
    line.split(PACKAGE).skip(1).filter_map(|rest| {
        let (interface, behind) = rest.split_once('@')?;
        let is_name = interface
            .trim_start_matches('/')
            .chars()
            .all(|one| one.is_ascii_lowercase() || "-{}".contains(one));
        let end = behind.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(behind.len());
        let version = behind[..end].trim_end_matches('.');
        (is_name && version.starts_with(|one: char| one.is_ascii_digit())).then_some(version)
    })
}

#[test]
fn every_file_names_the_same_version_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contract = include_str!("../../wit/probe.wit");
    let package =
        contract.lines().find_map(|line| line.strip_prefix("package farrier:probe@")).expect("a package");
    let current = package.trim_end_matches(';');
    let source = include_str!("../../src/probe/since_0_1_0.rs");
    assert!(
        source.contains(&format!("NUMBER: &str = \"{current}\"")),
        "src/probe/since_0_1_0.rs: `NUMBER` is not {current}"
    );
    let mut files = Vec::new();
    collect(root, root, &mut files);
    let mut others = Vec::new();
    let mut found = 0;
    for file in files {
        // What is no text names nothing.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (index, line) in text.lines().enumerate() {
            let (same, other): (Vec<_>, Vec<_>) = versions(line).partition(|version| *version == current);
            found += same.len();
            let place = file.strip_prefix(root).expect("inside").display().to_string();
            let other = other.into_iter().filter(|version| !OTHERS.contains(&(&place, version)));
            others.extend(other.map(|version| format!("{place}:{}: {version}", index + 1)));
        }
    }
    assert!(found > 20, "only {found} places name {current}");
    assert_eq!(others, [""; 0], "the contract has version {current}");
}
