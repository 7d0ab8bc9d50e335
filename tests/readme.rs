//! The console blocks of README.md, executed in their order as a reader would type them.

mod support;

use std::path::Path;

use support::{Run, Scene};

/// One command of a console block, and what the README shows that it prints on standard output.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: String,
}

fn console_blocks(markdown: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => {
                    shown.push(Shown { command: command.to_owned(), output: String::new() });
                }
                (None, Some(last)) if !line.is_empty() => {
                    last.output.push_str(line);
                    last.output.push('\n');
                }
                (None, _) => {}
            },
            (false, _) => {}
        }
    }
    shown
}

fn in_shell(scene: &Scene, command: &str) -> Run {
    let farrier = Path::new(env!("CARGO_BIN_EXE_farrier")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("PATH");
    let mut run = Run::program(scene, "/bin/bash")
        .args(["-euo", "pipefail", "-c", command])
        .env("PATH", format!("{}:{path}", farrier.display()))
        .directory(env!("CARGO_MANIFEST_DIR"))
        .timeout(std::time::Duration::from_secs(900));
    // The reader's own toolchain, though the home directory is the test's.
    let home = std::env::var("HOME").unwrap_or_default();
    for (variable, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let value = std::env::var(variable).unwrap_or_else(|_| format!("{home}/{default}"));
        run = run.env(variable, value);
    }
    for variable in ["CARGO_TARGET_DIR", "FARRIER_BUILT_PROBES"] {
        if let Ok(value) = std::env::var(variable) {
            run = run.env(variable, value);
        }
    }
    run
}

#[test]
fn every_console_block_does_what_it_shows() {
    let Some(scene) = Scene::with_docker() else { return };
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README");
    let blocks = console_blocks(&readme);
    assert!(blocks.len() >= 4, "the README has console blocks: {blocks:?}");
    let clean = "cargo run --quiet --example quickstart -- --clean";
    in_shell(&scene, clean).output().assert_code(0);
    for Shown { command, output } in &blocks {
        let outcome = in_shell(&scene, command).output();
        let context = format!("$ {command}\n{}", outcome.stderr());
        assert_eq!(outcome.code(), Some(0), "{context}");
        let matched = snapbox::Assert::new().try_eq(
            Some(&command),
            snapbox::Data::from(without_blank_lines(&outcome.stdout())),
            snapbox::Data::from(output.clone()),
        );
        if let Err(difference) = matched {
            panic!("{context}\n{difference}");
        }
    }
    in_shell(&scene, clean).output().assert_code(0);
}

/// The README may leave blank lines out.
fn without_blank_lines(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).fold(String::new(), |text, line| text + line + "\n")
}
