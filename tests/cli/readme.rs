//! The console blocks of README.md, executed in their order as a reader would type them.

use crate::support::Scene;
use crate::support::console::{QuickStart, Shown, console_blocks, shell, without_blank_lines};

#[test]
fn every_console_block_does_what_it_shows() {
    let Some(scene) = Scene::with_docker() else { return };
    let _quickstart = QuickStart::absent(&scene);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README");
    let blocks = console_blocks(&readme);
    assert!(blocks.len() >= 4, "the README has console blocks: {blocks:?}");
    for Shown { command, output } in &blocks {
        let outcome = shell(&scene, command).output();
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
}
