//! Console blocks of a document: what a reader types, and what the document shows that it prints.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::engine::{build_directory, fixture_image};
use super::launching::idler;
use super::{Layer, Run, Scene, fixture};

/// One command, and what is shown of its standard output, without blank lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub command: String,
    pub output: String,
}

/// The commands of all blocks that are marked as `console`. A line that begins with `>` continues the one before.
pub fn console_blocks(markdown: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), line.strip_prefix('>'), shown.last_mut()) {
                (Some(command), _, _) => {
                    shown.push(Shown { command: command.to_owned(), output: String::new() });
                }
                (None, Some(more), Some(last)) => {
                    last.command.push('\n');
                    last.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                (None, None, Some(last)) if !line.is_empty() => {
                    last.output.push_str(line);
                    last.output.push('\n');
                }
                _ => {}
            },
            (false, _) => {}
        }
    }
    shown
}

/// A shell that knows farrier and the reader's own toolchain, though the home directory is the test's.
pub fn shell(scene: &Scene, script: &str) -> Run {
    let farrier = Path::new(env!("CARGO_BIN_EXE_farrier")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("PATH");
    let mut run = Run::program(scene, "/bin/bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", format!("{}:{path}", farrier.display()))
        .directory(env!("CARGO_MANIFEST_DIR"))
        // The tests' own build has all of it already; the profile that a reader's first command uses would build it again.
        .env("CARGO_ALIAS_QUICKSTART", "run --package farrier-quickstart --")
        .timeout(Duration::from_mins(15));
    let home = std::env::var("HOME").unwrap_or_default();
    for (variable, default) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let value = std::env::var(variable).unwrap_or_else(|_| format!("{home}/{default}"));
        run = run.env(variable, value);
    }
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR", "FARRIER_BUILT_PROBES"] {
        if let Ok(value) = std::env::var(variable) {
            run = run.env(variable, value);
        }
    }
    run
}

/// Where a document uses what the quick start makes, whose names are the same for everybody: nobody else does
/// meanwhile, and nothing of it is there before and after.
pub struct QuickStart<'a> {
    scene: &'a Scene,
    _lock: File,
}

impl<'a> QuickStart<'a> {
    pub fn absent(scene: &'a Scene) -> Self {
        let lock =
            fixture::lock(build_directory(), "quickstart").unwrap_or_else(|trouble| panic!("{trouble}"));
        // Cleaning removes the network that all launches share if nothing is on it, which would be a surprise to tests
        // that are about to use it.
        let stays = idler(&fixture_image(), "command = [\"wait\"]");
        scene.define_in(Layer::Org, &format!("{}.toml", scene.name("stays")), stays);
        let folder = scene.layer(Layer::Org);
        scene.farrier(["up", "--org-dir"]).arg(folder).output().assert_code(0);
        let absent = Self { scene, _lock: lock };
        absent.clean().output().assert_code(0);
        absent
    }

    fn clean(&self) -> Run {
        shell(self.scene, "cargo --quiet quickstart --clean")
    }
}

impl Drop for QuickStart<'_> {
    fn drop(&mut self) {
        drop(self.clean().output());
    }
}

/// Documents may leave blank lines out.
pub fn without_blank_lines(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).fold(String::new(), |text, line| text + line + "\n")
}
