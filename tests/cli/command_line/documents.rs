//! Documents that are made by a command are what the command makes now.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Scene, assert_output};

fn files(folder: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = std::fs::read_to_string(entry.path()).expect("a text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn the_page_of_errors() {
    let page = Scene::new().farrier(["explain", "--markdown"]).output().assert_code(0).stdout();
    let committed = include_str!("../../../docs/errors.md");
    assert!(page == committed, "make it anew with `farrier explain --markdown > docs/errors.md`");
}

#[test]
fn the_manual_pages() {
    let scene = Scene::new();
    let folder = scene.path("man");
    std::fs::create_dir(&folder).expect("a folder");
    scene.farrier(["man"]).arg(&folder).output().assert_code(0);
    let committed = files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man")));
    assert!(files(&folder) == committed, "make them anew with `farrier man docs/man`");
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let scene = Scene::new();
    let refused = scene.farrier(["man"]).arg(scene.path("absent")).output().assert_code(2);
    assert_output!(refused, @"
    exit code 2
    --- stdout
    --- stderr
    error[usage]: cannot write the manual pages to [SCENE]/absent: No such file or directory (os error 2)
     |
     = help: Name an existing folder that you can write to.
    ");
}
