//! What the sources promise about themselves: rules that can be read off the text.

use std::ffi::OsStr;
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
        // Unit tests stand at the end of their file.
        let code = text.split("#[cfg(test)]\n").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(word))
    };
    let of_tests = |path: &Path| path.iter().any(|part| matches!(part.to_str(), Some("tests" | "tests.rs")));
    sources("src")
        .into_iter()
        .filter(|(path, text)| {
            !of_tests(path) && !places.iter().any(|place| path.starts_with(place)) && code(text)
        })
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn only_the_docker_engine_names_bollard() {
    assert_eq!(
        strangers("bollard", &["src/engine/docker/client.rs", "src/engine/docker/client"]),
        Vec::<PathBuf>::new()
    );
}

/// `engine/kinds` opens engines; a probe's dry run and its scenarios stand on the double of Docker. A manager of a
/// Swarm is also a Docker engine, reached over one connection.
#[test]
fn the_core_knows_no_engine_by_name() {
    let places = [
        "src/engine/docker.rs",
        "src/engine/docker",
        "src/engine/kinds.rs",
        "src/engine/swarm.rs",
        "src/engine/swarm",
        "src/readiness/dry_run",
        "src/readiness/scenario",
        "src/fuzzing.rs",
    ];
    assert_eq!(strangers("docker::", &places), Vec::<PathBuf>::new());
    let places = ["src/engine/native.rs", "src/engine/native", "src/engine/kinds.rs"];
    assert_eq!(strangers("native::", &places), Vec::<PathBuf>::new());
    let places = [
        "src/engine/swarm.rs",
        "src/engine/swarm",
        "src/engine/kinds.rs",
        "src/engine/docker.rs",
        "src/engine/docker/client/swarm.rs",
    ];
    assert_eq!(strangers("swarm::", &places), Vec::<PathBuf>::new());
}

#[test]
fn only_probes_name_wasmtime() {
    assert_eq!(strangers("wasmtime::", &["src/probe"]), Vec::<PathBuf>::new());
}

#[test]
fn only_commands_that_print_data_use_standard_output() {
    assert_eq!(
        strangers("stdout().lock()", &["src/cli/data.rs", "src/engine/docker/relay/program.rs"]),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn every_error_code_is_reported_somewhere() {
    let elsewhere = ["src/report/error.rs", "src/report/exit.rs", "src/report/explanation"];
    let unused: Vec<_> = farrier::report::error::Code::ALL
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
    assert_eq!(unused, Vec::<&farrier::report::error::Code>::new());
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

/// The folders of `src`, from the bottom to the top: each may use those before it, none those behind it. `fuzzing` is no
/// part of the program.
const ROOMS: &[&str] = &[
    "report",
    "system",
    "definition",
    "plan",
    "engine",
    "probe",
    "event",
    "readiness",
    "harness",
    "preparation",
    "approval",
    "manage",
    "launch",
    "cli",
];

/// Where a folder of `src` stands among the rooms.
fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// The room that a file below `src` lies in.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_file_lies_in_a_room() {
    let outside: Vec<PathBuf> = sources("src")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !matches!(room_of(path).as_str(), "lib" | "main" | "fuzzing"))
        .filter(|path| floor(&room_of(path)).is_none())
        .collect();
    assert_eq!(outside, Vec::<PathBuf>::new());
}

#[test]
fn no_room_uses_one_above_it() {
    let mut upwards = Vec::new();
    for (path, text) in sources("src") {
        let Some(own) = floor(&room_of(&path)) else { continue };
        let of_tests = |part: &OsStr| matches!(part.to_str(), Some("tests" | "tests.rs" | "fuzzing.rs"));
        if path.iter().any(of_tests) {
            continue;
        }
        // Unit tests stand at the end of their file.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (_, used) in
            lines.flat_map(|line| line.match_indices("crate::").map(move |(at, _)| (at, &line[at + 7..])))
        {
            let room: String =
                used.chars().take_while(|next| next.is_ascii_lowercase() || *next == '_').collect();
            if floor(&room).is_some_and(|other| other > own) {
                upwards.push(format!("{}: {room}", path.display()));
            }
        }
    }
    assert_eq!(upwards, Vec::<String>::new());
}

#[test]
fn only_the_command_line_names_clap() {
    assert_eq!(strangers("clap", &["src/cli.rs", "src/cli"]), Vec::<PathBuf>::new());
}
