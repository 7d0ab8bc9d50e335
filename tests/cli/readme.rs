//! The console blocks of README.md and of the pages in `docs`, executed in their order as a reader would type them.

use std::path::{Path, PathBuf};

use crate::support::Scene;
use crate::support::console::{QuickStart, Shown, console_blocks, shell, without_blank_lines};

/// README.md, whose quickstart makes what the others use, and then the pages in `docs`. The guide for authors of probes has
/// a test of its own (`guide.rs`).
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root.join("docs"))
        .expect("the folder docs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| !path.ends_with("writing-a-probe.md"))
        .collect();
    pages.sort();
    pages.insert(0, root.join("README.md"));
    pages
}

#[test]
fn every_console_block_does_what_it_shows() {
    let Some(scene) = Scene::with_docker() else { return };
    let _quickstart = QuickStart::absent(&scene);
    for (number, page) in pages().iter().enumerate() {
        let blocks = console_blocks(&std::fs::read_to_string(page).expect("a page"));
        assert!(number > 0 || blocks.len() >= 4, "the README has console blocks: {blocks:?}");
        for shown in &blocks {
            check(&scene, page, shown);
        }
    }
}

/// Types one command, and compares what it prints with what the page shows.
/// Without the line that a plan has where this machine's engine is not at the usual place.
fn on_the_usual_engine(printed: &str) -> String {
    printed.split_inclusive('\n').filter(|line| !line.starts_with("engine docker: ")).collect()
}

fn check(scene: &Scene, page: &Path, shown: &Shown) {
    let Shown { command, output } = shown;
    let outcome = shell(scene, command).output();
    let context = format!("{}\n$ {command}\n{}", page.display(), outcome.stderr());
    assert_eq!(outcome.code(), Some(0), "{context}");
    let matched = snapbox::Assert::new().try_eq(
        Some(&command),
        snapbox::Data::from(without_blank_lines(&on_the_usual_engine(&outcome.stdout()))),
        snapbox::Data::from(output.clone()),
    );
    if let Err(difference) = matched {
        panic!("{context}\n{difference}");
    }
}
