//! Granted folders whose content is swapped for links while they are read.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use farrier::definition::{LayerDirectories, ReadingBudget};
use farrier::probe::directories::DirectoryCopy;
use farrier::probe::private_copies::PrivateCopies;

/// What lies outside the granted folder, and must never be in a copy.
const SECRET: &str = "a secret of this machine";

/// Swaps `path` for another thing and back until told to stop: by renames, which are atomic, so that the reader meets
/// one or the other at any step.
fn swap(path: &std::path::Path, other: &std::path::Path, stop: &AtomicBool) {
    let aside = path.with_extension("aside");
    while !stop.load(Ordering::Relaxed) {
        std::fs::rename(path, &aside).expect("put aside");
        std::fs::rename(other, path).expect("put in place");
        std::fs::rename(path, other).expect("taken away");
        std::fs::rename(&aside, path).expect("put back");
    }
}

#[test]
fn a_folder_or_file_that_is_swapped_for_a_link_while_it_is_read_gives_nothing_from_elsewhere() {
    for (granted_part, is_folder) in [("certs", true), ("certs/inner", true), ("certs/inner/ca.pem", false)] {
        let layer = tempfile::tempdir().expect("a folder");
        let user = layer.path().join("sidecars");
        std::fs::create_dir_all(user.join("certs/inner")).expect("folders");
        std::fs::write(user.join("certs/inner/ca.pem"), "a certificate").expect("a file");
        let outside = layer.path().join("outside");
        std::fs::create_dir_all(outside.join("inner")).expect("folders");
        for file in ["secret", "inner/ca.pem"] {
            std::fs::write(outside.join(file), SECRET).expect("a file");
        }
        let target = if is_folder { outside.clone() } else { outside.join("secret") };
        symlink(target, layer.path().join("link")).expect("a link");
        let text = "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\n\
                    probe = \"./mine.wasm\"\ngrants = { dirs = [{ host = \"certs\", guest = \"/certs\" }] }\n";
        std::fs::write(user.join("db.toml"), text).expect("a definition");
        let directories = LayerDirectories { user: Some(user.clone()), ..LayerDirectories::default() };
        let loaded = farrier::definition::load(&directories);
        let definition = loaded.definitions.first().unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let grant = definition.readiness[0].grants.dirs.first().expect("a grant");
        let stop = AtomicBool::new(false);
        let (mut read, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            let (path, link) = (user.join(granted_part), layer.path().join("link"));
            let stop = &stop;
            scope.spawn(move || swap(&path, &link, stop));
            for _ in 0..1_000 {
                match DirectoryCopy::read(definition, grant, &ReadingBudget::default()) {
                    Err(_) => refused += 1,
                    Ok(copy) => {
                        read += 1;
                        holds_no_secret(&copy);
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        println!("{granted_part}: {read} read, {refused} refused, none from elsewhere");
        assert!(refused > 0, "{granted_part}: {read} read, {refused} refused: nothing was met");
        holds_no_secret(
            &DirectoryCopy::read(definition, grant, &ReadingBudget::default())
                .expect("nobody swaps it any more"),
        );
    }
}

fn holds_no_secret(copy: &DirectoryCopy) {
    let folders = PrivateCopies::write(std::slice::from_ref(copy)).expect("written").expect("a folder");
    let mut open = vec![folders.entries()[0].host.clone()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                assert_ne!(std::fs::read_to_string(&path).expect("a file"), SECRET, "{}", path.display());
            }
        }
    }
}
