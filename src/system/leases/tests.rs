//! Marks and claims of several processes, played by several holders in one.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

fn leases(folder: &Path, command: &str) -> Leases {
    Leases::of(LockFolder::open_at(folder, PREFIX).expect("a folder").held_by(command))
}

const fn nobody(_: Option<&Holder>) {}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("the folder").count()
}

#[test]
fn marks_of_dead_processes_are_cleared() {
    let folder = tempfile::tempdir().expect("folder");
    let leases = leases(folder.path(), "docker run y");
    let stale = leases.folder.file("id@use.4194304.00000000");
    std::fs::write(&stale, "4194304\ndocker run x").expect("mark");
    assert_eq!(leases.holders("id"), Vec::new());
    assert!(!stale.exists());
    let of_another = leases.folder.file("other@use.4194304.00000000");
    std::fs::write(&of_another, "4194304\ndocker run x").expect("mark");
    std::fs::write(leases.folder.file("other@lock"), "4194304\nfarrier down").expect("claim");
    assert_eq!(leases.holders("id"), Vec::new());
    assert_eq!(files(folder.path()), 0, "nobody may ever ask about the other one");
    let own = leases.mark("id", "net").expect("mark");
    let path = own.path.clone();
    assert_eq!(leases.holders("id"), Vec::new(), "this process is not another one");
    assert_eq!(live_holder(&path).map(|holder| holder.command), Some("docker run y".to_owned()));
    drop(own);
    assert_eq!(files(folder.path()), 0);
}

#[tokio::test]
async fn nobody_begins_to_use_what_is_claimed() {
    let folder = tempfile::tempdir().expect("folder");
    let leases = leases(folder.path(), "farrier down");
    let claim = leases.claim("one", nobody).await.expect("a claim");
    assert!(leases.is_claimed("one") && !leases.is_claimed("other"));
    assert!(leases.share("one", "net").expect("no error").is_none());
    assert!(leases.share("other", "net").expect("no error").is_some());
    drop(claim);
    assert!(leases.share("one", "net").expect("no error").is_some());
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_mark_holds_a_container_and_its_place_on_one_network() {
    let folder = tempfile::tempdir().expect("folder");
    let mark = |process: &str| {
        let path = leases(folder.path(), "")
            .folder
            .file(&format!("{}{USE}{process}.00000000", on_network("id", "net")));
        std::fs::write(&path, format!("{process}\ndocker run x")).expect("mark");
        let file = File::open(&path).expect("mark");
        file.lock().expect("a lock");
        file
    };
    let _of_another = mark("4194304");
    let leases = leases(folder.path(), "docker run y");
    let holders: Vec<u32> = leases.holders("id").iter().map(|holder| holder.process).collect();
    assert_eq!(holders, [4_194_304]);
    let places = vec![("id", "net"), ("id", "other"), ("another", "net")];
    assert_eq!(leases.unused_on(places), [("id", "other"), ("another", "net")]);
}

/// Two launches and one command that removes, again and again: the mark is seen, or the claim is.
#[test]
fn of_a_mark_and_a_claim_at_once_one_sees_the_other() {
    let folder = tempfile::tempdir().expect("folder");
    let (used, removed) = (AtomicU32::new(0), AtomicBool::new(false));
    let marks_of = |id: &str| {
        let begin = format!("{PREFIX}.{id}{ON}");
        let names = std::fs::read_dir(folder.path()).expect("the folder").flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin)).count()
    };
    for round in 0..300 {
        let id = format!("id{round}");
        removed.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mark = leases(folder.path(), "launch").share(&id, "net").expect("no error");
                    if mark.is_some() && !removed.load(Ordering::SeqCst) {
                        used.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        assert!(!removed.load(Ordering::SeqCst), "removed while it was used");
                    }
                });
            }
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                let claim =
                    runtime.block_on(leases(folder.path(), "down").claim(&id, nobody)).expect("a claim");
                if marks_of(&id) == 0 {
                    removed.store(true, Ordering::SeqCst);
                }
                drop(claim);
            });
        });
    }
    assert!(used.load(Ordering::SeqCst) > 0);
    assert_eq!(files(folder.path()), 0);
}

/// Each mark stands for itself, though the marks of one launch are names of one file.
#[test]
fn marks_of_one_launch_share_a_file_and_go_one_by_one() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().expect("folder");
    let leases = leases(folder.path(), "docker run x");
    let mark = |id: &str| leases.mark(id, "net").expect("a mark");
    let (first, second) = (mark("first"), mark("second"));
    let file = |mark: &InUse| std::fs::metadata(&mark.path).expect("its file").ino();
    let is_held = |mark: &InUse| open_existing(&mark.path).expect("its file").try_lock_shared().is_err();
    assert_eq!(file(&first), file(&second));
    drop(second);
    assert!(is_held(&first));
    // The newest mark is gone, and no name leads to its file by it.
    let third = mark("third");
    drop(first);
    let fourth = mark("fourth");
    assert_eq!((file(&third), is_held(&third), is_held(&fourth)), (file(&fourth), true, true));
    drop((third, fourth));
    assert_eq!(files(folder.path()), 0);
}
