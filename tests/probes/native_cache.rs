//! The cache of compiled components: used only where nobody else can have written it, rebuilt where it is bad.

#![expect(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::guest::{self, component, guest};
use farrier::definition::model::Limits;
use farrier::probe::component::ComponentFile;
use farrier::probe::context::ProbeContext;
use farrier::probe::guest::{Context, Verdict};
use farrier::probe::host::ProbeHost;
use tempfile::TempDir;

struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a folder") }
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("cache/farrier")
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state/farrier")
    }

    /// Loads a component as a new launch does, and polls it.
    async fn launch(&self, text: &str) -> Verdict {
        let host = ProbeHost::new(Some(self.cache()), Some(self.state()));
        let file = ComponentFile::parse(component(text)).unwrap_or_else(|error| panic!("{error}"));
        let probe = host.load(&file, &[]).unwrap_or_else(|error| panic!("{error:?}"));
        let context = Context {
            sidecar: "db".to_owned(),
            host: "db".to_owned(),
            port: None,
            attempt: 1,
            elapsed_ms: 0,
            remaining_ms: 1000,
            settings: "{}".to_owned(),
        };
        let limits = Limits { memory: 1 << 20, poll: Duration::from_secs(5) };
        probe.poll(context, ProbeContext::default(), limits).await.verdict
    }

    fn entries(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.cache().join("components"));
        let mut paths: Vec<PathBuf> =
            found.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }

    fn only_entry(&self) -> PathBuf {
        let entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries[0].clone()
    }

    fn key(&self) -> PathBuf {
        self.state().join("cache.key")
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

/// Entries are replaced by renaming: one that was kept is the same file.
fn identity(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("it is there").ino()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn ready() -> String {
    guest(guest::READY)
}

#[tokio::test]
async fn what_is_kept_is_for_this_user_alone_and_is_not_compiled_again() {
    let folders = Folders::new();
    assert_eq!(folders.launch(&ready()).await, Verdict::Ready);
    let entry = folders.only_entry();
    assert_eq!((mode(&entry), mode(&folders.key())), (0o600, 0o600));
    for folder in [folders.cache(), folders.cache().join("components"), folders.state()] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    let before = identity(&entry);
    assert_eq!(folders.launch(&ready()).await, Verdict::Ready);
    assert_eq!(identity(&folders.only_entry()), before);
    assert!(matches!(folders.launch(&guest(guest::TRAP)).await, Verdict::Crashed(_)));
    assert_eq!(folders.entries().len(), 2);
}

#[tokio::test]
async fn a_bad_entry_is_rebuilt() {
    let folders = Folders::new();
    folders.launch(&ready()).await;
    let entry = folders.only_entry();
    let good = fs::read(&entry).expect("an entry");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let bad: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("cut", good[..good.len() / 2].to_vec()),
        ("short", good[..20].to_vec()),
        ("another seal", flipped(0)),
        ("another code", flipped(good.len() - 1)),
        ("longer", [good.as_slice(), b"x"].concat()),
    ];
    for (name, bytes) in bad {
        fs::write(&entry, bytes).expect("written");
        let before = identity(&entry);
        assert_eq!(folders.launch(&ready()).await, Verdict::Ready, "{name}");
        assert_ne!(identity(&entry), before, "{name}: rebuilt");
        let rebuilt = identity(&entry);
        folders.launch(&ready()).await;
        assert_eq!(identity(&entry), rebuilt, "{name}: and then kept");
    }
}

#[tokio::test]
async fn an_entry_in_anothers_place_is_not_taken_for_it() {
    let folders = Folders::new();
    folders.launch(&ready()).await;
    let ready_entry = folders.only_entry();
    folders.launch(&guest(guest::PENDING)).await;
    let other = folders.entries().into_iter().find(|path| *path != ready_entry).expect("a second entry");
    fs::copy(&ready_entry, &other).expect("copied");
    let verdict = folders.launch(&guest(guest::PENDING)).await;
    assert!(matches!(verdict, Verdict::Pending { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_symlink_in_the_place_of_an_entry_is_neither_read_nor_written_through() {
    let folders = Folders::new();
    folders.launch(&ready()).await;
    let entry = folders.only_entry();
    let elsewhere = folders.root.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).expect("moved");
    let content = fs::read(&elsewhere).expect("readable");
    symlink(&elsewhere, &entry).expect("linked");
    assert_eq!(folders.launch(&ready()).await, Verdict::Ready);
    assert!(fs::symlink_metadata(&entry).expect("there").is_file());
    assert_eq!(fs::read(&elsewhere).expect("readable"), content);
}

#[tokio::test]
async fn folders_that_others_may_write_or_that_are_links_are_not_used() {
    for name in ["cache", "components", "state"] {
        for as_link in [false, true] {
            let folders = Folders::new();
            let folder = match name {
                "cache" => folders.cache(),
                "components" => folders.cache().join("components"),
                _ => folders.state(),
            };
            if as_link {
                let target = folders.root.path().join("target");
                fs::create_dir_all(&target).expect("made");
                fs::create_dir_all(folder.parent().expect("a parent")).expect("made");
                symlink(&target, &folder).expect("linked");
            } else {
                fs::create_dir_all(&folder).expect("made");
                set_mode(&folder, 0o777);
            }
            assert_eq!(folders.launch(&ready()).await, Verdict::Ready, "{name}");
            assert_eq!(folders.entries(), Vec::<PathBuf>::new(), "{name}, link: {as_link}");
        }
    }
}

#[tokio::test]
async fn a_key_that_others_could_read_is_not_used_and_a_new_key_rebuilds_everything() {
    let folders = Folders::new();
    folders.launch(&ready()).await;
    let before = identity(&folders.only_entry());
    set_mode(&folders.key(), 0o644);
    assert_eq!(folders.launch(&guest(guest::PENDING)).await, folders.launch(&guest(guest::PENDING)).await);
    assert_eq!(folders.entries().len(), 1, "nothing is kept under a key that is known");
    fs::remove_file(folders.key()).expect("removed");
    assert_eq!(folders.launch(&ready()).await, Verdict::Ready);
    assert_ne!(identity(&folders.only_entry()), before);
    fs::write(folders.key(), b"short").expect("written");
    assert_eq!(folders.launch(&ready()).await, Verdict::Ready);
    assert_eq!(fs::metadata(folders.key()).expect("a key").len(), 32);
}
