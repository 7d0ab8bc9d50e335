//! Layers, friendly and hostile.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

const FEW: Limits = Limits { bytes: 1 << 20, entries: 100 };

/// An entry whose name and target are written as they are: the builder of archives would refuse some.
fn raw(kind: EntryType, name: &str, target: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let bytes = header.as_mut_bytes();
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
    header.set_gid(u64::from(rustix::process::getegid().as_raw()));
    header.set_mtime(1_000_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

fn file(name: &str, content: &str) -> Vec<u8> {
    raw(EntryType::Regular, name, "", 0o644, content.as_bytes())
}

fn folder(name: &str) -> Vec<u8> {
    raw(EntryType::Directory, name, "", 0o755, b"")
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    raw(EntryType::Symlink, name, target, 0o777, b"")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    raw(EntryType::Link, name, target, 0o644, b"")
}

struct Place {
    all: tempfile::TempDir,
}

impl Place {
    /// A folder for a layer beside one with a file that nobody may change.
    fn new() -> Self {
        let all = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(all.path().join("layer")).expect("a folder");
        std::fs::create_dir(all.path().join("outside")).expect("a folder");
        std::fs::write(all.path().join("outside/kept"), "kept").expect("written");
        Self { all }
    }

    fn layer(&self) -> std::path::PathBuf {
        self.all.path().join("layer")
    }

    fn unpack(&self, entries: &[Vec<u8>], limits: Limits) -> io::Result<()> {
        let mut archive = entries.concat();
        archive.resize(archive.len() + 1024, 0);
        let done = unpack(archive.as_slice(), &self.layer(), limits);
        let outside = self.all.path().join("outside");
        assert_eq!(std::fs::read_to_string(outside.join("kept")).expect("it is there"), "kept");
        assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 1, "nothing came outside");
        assert_eq!(std::fs::metadata(outside.join("kept")).expect("a file").nlink(), 1);
        done
    }
}

#[test]
fn files_have_content_mode_time_and_owner() {
    let place = Place::new();
    let sealed = raw(EntryType::Directory, "sealed/", "", 0o555, b"");
    let tool = raw(EntryType::Regular, "sealed/tool", "", 0o4755, b"run");
    let root = raw(EntryType::Directory, "./", "", 0o711, b"");
    let entries = [root, sealed, tool, link("sealed/again", "sealed/tool"), symlink("to", "/sealed/tool")];
    place.unpack(&entries, FEW).expect("unpacked");
    let path = |name: &str| place.layer().join(name);
    let found = std::fs::metadata(path("sealed/tool")).expect("a file");
    assert_eq!((found.mode() & 0o7777, found.mtime(), found.nlink()), (0o4755, 1_000_000_000, 2));
    assert_eq!(std::fs::metadata(path("sealed")).expect("a folder").permissions().mode() & 0o7777, 0o555);
    assert_eq!(std::fs::metadata(place.layer()).expect("a folder").permissions().mode() & 0o7777, 0o711);
    assert_eq!(std::fs::read_link(path("to")).expect("a link"), Path::new("/sealed/tool"));
}

#[test]
fn whiteouts_hide_what_lies_below() {
    let place = Place::new();
    let entries = [folder("d"), file("d/.wh..wh..opq", ""), file("d/.wh.gone", ""), file(".wh..wh.plnk", "")];
    match place.unpack(&entries, FEW) {
        Ok(()) => {}
        // Devices, or attributes, that this user or file system does not have.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return,
        Err(error) => panic!("{error}"),
    }
    let gone = std::fs::symlink_metadata(place.layer().join("d/gone")).expect("a whiteout");
    assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
    let mut value = [0; 8];
    let opened = beneath::open_root(&place.layer().join("d")).expect("a folder");
    let length = rustix::fs::fgetxattr(&opened, OPAQUE_ATTRIBUTE, &mut value[..]).expect("an attribute");
    assert_eq!(&value[..length], b"y");
    assert_eq!(std::fs::read_dir(place.layer()).expect("a folder").count(), 1);
}

/// What a layer may try, and what becomes of it: `None` if it is unpacked, with nothing outside.
#[test]
fn nothing_of_a_hostile_layer_comes_outside() {
    let device = raw(EntryType::Block, "disk", "", 0o666, b"");
    let unknown = raw(EntryType::new(b'Z'), "x", "", 0o644, b"");
    let big = "x".repeat(600);
    let deep = "d/".repeat(45);
    for (what, entries, refused) in [
        ("a path that climbs", vec![file("../outside/kept", "evil")], Some("leaves its folder")),
        (
            "one that climbs in the middle",
            vec![file("a/../../outside/kept", "evil")],
            Some("leaves its folder"),
        ),
        ("an absolute path", vec![file("/outside/kept", "evil")], None),
        (
            "through an absolute link",
            vec![symlink("a", "/outside"), file("a/kept", "evil")],
            Some("No such file"),
        ),
        (
            "through a climbing link",
            vec![symlink("a", "../outside"), file("a/kept", "evil")],
            Some("No such file"),
        ),
        (
            "through a link to a link",
            vec![symlink("a", "b"), symlink("b", "../outside"), file("a/kept", "x")],
            Some("No such file"),
        ),
        (
            "through the process's own root",
            vec![symlink("a", "/proc/self/root/tmp"), file("a/x", "x")],
            Some("No such file"),
        ),
        ("over a link", vec![symlink("kept", "../outside/kept"), file("kept", "evil")], None),
        ("a folder over a link", vec![symlink("a", "../outside"), folder("a"), file("a/kept", "evil")], None),
        (
            "a whiteout through a link",
            vec![symlink("a", "../outside"), file("a/.wh.kept", "")],
            Some("No such file"),
        ),
        ("a hard link outside", vec![link("a", "../outside/kept")], Some("leaves its folder")),
        (
            "a hard link by a link",
            vec![symlink("a", "../outside"), link("b", "a/kept")],
            Some("No such file"),
        ),
        ("a hard link to nothing", vec![link("b", "a")], Some("does not contain")),
        ("a hard link to itself", vec![file("a", "x"), link("a", "a")], None),
        ("a hard link to the root", vec![link("a", "/")], Some("leads to the root")),
        ("a whiteout of the parent", vec![file(".wh...", "")], Some("hides no name")),
        ("a whiteout of nothing", vec![file(".wh.", "")], Some("hides no name")),
        ("a link that leads to itself", vec![symlink("a", "a"), file("a/b", "x")], Some("symbolic link")),
        ("a device", vec![device], None),
        ("an unknown kind", vec![unknown], Some("unknown kind")),
        ("a name of line breaks and escapes", vec![file("a\n\u{1b}[31m", "x")], None),
        ("too much content", vec![file("a", &big), file("b", &big)], Some("too much content")),
        ("too many entries", vec![folder(&deep); 9], Some("too many entries")),
        ("no archive", vec![vec![b'x'; 512]], Some("not a tar archive")),
    ] {
        let place = Place::new();
        match (place.unpack(&entries, Limits { bytes: 1000, entries: 8 }), refused) {
            (Ok(()), None) => {}
            (Err(error), Some(reason)) => {
                assert!(error.to_string().contains(reason), "{what}: {error}");
            }
            // A whiteout that this user cannot make.
            (Err(error), None) if error.kind() == io::ErrorKind::PermissionDenied => {}
            (done, refused) => panic!("{what}: {done:?}, expected {refused:?}"),
        }
    }
}
