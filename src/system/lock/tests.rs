//! Locks between processes, played by several holders in one.

use std::fs::DirBuilder;
use std::os::unix::fs::PermissionsExt;

use super::*;

const fn nobody(_: Option<&Holder>) {}

#[test]
fn a_lock_excludes_until_dropped() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let held = locks.try_lock("name").expect("no error").expect("free");
    assert!(locks.try_lock("name").expect("no error").is_none());
    assert!(locks.try_lock("other").expect("no error").is_some());
    let elsewhere = LockFolder::open_at(folder.path(), "engine 2").expect("locks");
    assert!(elsewhere.try_lock("name").expect("no error").is_some());
    drop(held);
    assert!(locks.try_lock("name").expect("no error").is_some());
}

#[test]
fn a_released_lock_is_free_at_once_and_its_file_goes_later() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let files = || std::fs::read_dir(folder.path()).expect("the folder").count();
    let take = || locks.try_lock("name").expect("no error").expect("free");
    let released = take().release();
    assert_eq!(files(), 1);
    let taken = take();
    drop(released);
    assert_eq!(files(), 1, "somebody else has it");
    let released = taken.release();
    drop(released);
    assert_eq!(files(), 0);
}

#[test]
fn nothing_stays_in_the_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let files = || std::fs::read_dir(folder.path()).expect("folder").count();
    let held = locks.try_lock("name").expect("no error").expect("free");
    assert_eq!(files(), 1);
    drop(held);
    assert_eq!(files(), 0);
}

#[test]
fn a_lock_whose_file_was_removed_is_not_taken_for_the_present_one() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let swept = locks.try_lock("name").expect("no error").expect("free");
    std::fs::remove_file(locks.file("name@lock")).expect("as a cleaner of old files does");
    let present = locks.try_lock("name").expect("no error").expect("free");
    drop(swept);
    assert!(locks.try_lock("name").expect("no error").is_none(), "its release took the other's file away");
    drop(present);
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
}

/// The same as files go and come all the time.
#[test]
fn one_at_a_time_holds_a_lock() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let inside = std::sync::atomic::AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let work = async || {
        for _ in 0..200 {
            let held = locks.lock("name", nobody).await.expect("no error");
            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            drop(held);
        }
    };
    runtime.block_on(async { futures_util::future::join_all((0..8).map(|_| work())).await });
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
}

#[tokio::test]
async fn a_network_is_claimed_only_when_no_launch_relies_on_it() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let one = locks.keep_network("../any/net", nobody).await.expect("no error");
    let other = locks.keep_network("../any/net", nobody).await.expect("no error");
    drop(one);
    assert!(locks.claim_network("../any/net").await.expect("no error").is_none());
    drop(other);
    assert!(locks.claim_network("../any/net").await.expect("no error").is_some());
}

/// Whoever has the claim may have looked too early; with each of them giving way to the other, nobody would remove it.
#[tokio::test]
async fn a_network_that_another_command_has_claimed_is_claimed_after_it() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let first = locks.claim_network("net").await.expect("no error").expect("free");
    let mut second = Box::pin(locks.claim_network("net"));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert!(second.await.expect("no error").is_some());
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
}

#[test]
fn a_folder_without_the_sticky_bit_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("mode");
    let problem = LockFolder::open_at(folder.path(), "engine").expect_err("refused");
    assert_eq!(problem.code, Code::StateUnusable);
}

#[test]
fn only_a_folder_that_is_open_to_all_and_sticky_is_one_for_all() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, mode, expected) in [
        ("open and sticky", 0o1777, true),
        ("not sticky", 0o777, false),
        ("of root alone", 0o755, false),
        ("sticky, of root alone", 0o1755, false),
        ("not to be entered", 0o1776, false),
    ] {
        let path = folder.path().join(name);
        DirBuilder::new().create(&path).expect("a folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        assert_eq!(is_for_all(&path), expected, "{name}");
    }
    let open = folder.path().join("open and sticky");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&open, &link).expect("a link");
    assert!(!is_for_all(&link), "a link may be another one tomorrow");
    assert!(!is_for_all(&folder.path().join("absent")));
}

/// Whoever waits is told for whom, whichever lock it is.
#[tokio::test]
async fn the_holder_of_a_lock_is_named_to_those_who_wait() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks").held_by("docker run x");
    let told = std::cell::RefCell::new(Vec::new());
    let waiting = |holder: Option<&Holder>| told.borrow_mut().push(holder.map(ToString::to_string));
    let expected = Some(format!("process {}, docker run x", std::process::id()));
    let held = locks.try_lock("name").expect("no error").expect("free");
    let made = locks.lock_network("net", nobody).await.expect("free");
    let claimed = locks.claim_network("net").await.expect("no error").expect("free");
    let release = async {
        while told.borrow().len() < 3 {
            tokio::task::yield_now().await;
        }
        drop((held, made, claimed));
    };
    let taken = async {
        tokio::join!(
            locks.lock("name", waiting),
            locks.lock_network("net", waiting),
            locks.keep_network("net", waiting),
        )
    };
    let (taken, ()) = tokio::join!(taken, release);
    assert!(taken.0.is_ok() && taken.1.is_ok() && taken.2.is_ok());
    assert_eq!(*told.borrow(), [expected.clone(), expected.clone(), expected]);
}

#[test]
fn nobody_is_named_for_a_lock_that_was_given_on_or_whose_holder_is_gone() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let released = locks.try_lock("name").expect("no error").expect("free").release();
    assert_eq!(lock_holder(&locks.lock_file("name")), None);
    drop(released);
    std::fs::write(locks.lock_file("name"), "4194304\nof a process that was killed").expect("a file");
    assert_eq!(lock_holder(&locks.lock_file("name")), None);
}

/// Another user may put a second name of any file in the lock's place.
#[test]
fn a_link_to_another_file_is_not_written_to() {
    let folder = tempfile::tempdir().expect("folder");
    let locks = LockFolder::open_at(folder.path(), "engine").expect("locks");
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").expect("a file");
    std::fs::hard_link(&precious, locks.lock_file("name")).expect("a link");
    drop(locks.try_lock("name").expect("no error").expect("free").release());
    assert_eq!(std::fs::read_to_string(&precious).expect("the file"), "precious");
}

/// Root, or the user: everybody else could remove the files of all.
#[test]
fn a_folder_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a folder away");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).expect("mode");
    LockFolder::open_at(folder.path(), "engine").expect("root's");
    std::os::unix::fs::chown(folder.path(), Some(54_321), None).expect("given away");
    let problem = LockFolder::open_at(folder.path(), "engine").expect_err("refused");
    assert!(problem.message.contains("belongs to user 54321"), "{problem}");
    assert!(!is_for_all(folder.path()));
}
