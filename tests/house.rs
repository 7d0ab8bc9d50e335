//! What the sources promise about themselves: rules that can be read off the text.

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.push((path.strip_prefix(root).expect("below the root").to_owned(), text));
            }
        }
    }
    found
}

/// Files whose code, comments left out, holds the word and which are not below one of the places.
fn strangers(word: &str, places: &[&str]) -> Vec<PathBuf> {
    let code = |text: &str| {
        text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(word))
    };
    sources("src")
        .into_iter()
        .filter(|(path, text)| !places.iter().any(|place| path.starts_with(place)) && code(text))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn only_the_docker_engine_names_bollard() {
    assert_eq!(strangers("bollard", &["src/engine/docker.rs", "src/engine/docker"]), Vec::<PathBuf>::new());
}

#[test]
fn only_probes_name_wasmtime() {
    assert_eq!(strangers("wasmtime::", &["src/probe"]), Vec::<PathBuf>::new());
}

#[test]
fn only_commands_that_print_data_use_standard_output() {
    assert_eq!(
        strangers("stdout().lock()", &["src/commands/data.rs", "src/relay/program.rs"]),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn every_error_code_is_reported_somewhere() {
    let elsewhere = ["src/error.rs", "src/exit.rs", "src/explanation"];
    let unused: Vec<_> = farrier::error::Code::ALL
        .iter()
        .filter(|code| {
            let name = format!("Code::{code:?}");
            let is_whole = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric());
            !sources("src").iter().any(|(path, text)| {
                !elsewhere.iter().any(|place| path.starts_with(place))
                    && text.match_indices(&name).any(|(at, _)| is_whole(&text[at + name.len()..]))
            })
        })
        .collect();
    assert_eq!(unused, Vec::<&farrier::error::Code>::new());
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = ["src", "tests", "examples", "probes"]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines >= 600)
        .collect();
    assert_eq!(long, Vec::new());
}
