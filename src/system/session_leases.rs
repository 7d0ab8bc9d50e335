//! Leases of sessions on this host: a launch holds its session's lock for as long as it lives, so that the kernel tells
//! everybody when it is gone. Whoever removes what such a session left holds the lock meanwhile.
//!
//! Several hosts may share an engine, and a lease is known on its own host alone. So what belongs to a session says whose
//! lease counts: the machine's, the boot's and the folder's identity, as digests.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::digest::sha256_hex;
use super::lock::{Held, Holder, LOCK, LockFolder};
use crate::report::error::{Code, Problem};

/// What the names of these files begin with.
const PREFIX: &str = "farrier-session";
/// So many ids are tried at most.
const MOST_TRIES: usize = 100;
/// So often at most is a lease looked at that somebody has who did not sign it, with these pauses.
const MOST_LOOKS: usize = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How many hex digits of a digest are kept.
const DIGITS: usize = 16;

/// The leases of all sessions on this host.
#[derive(Clone, Debug)]
pub struct SessionLeases {
    folder: LockFolder,
    host: String,
}

impl SessionLeases {
    /// Opens the folder. `command` is what others read who ask whose a session is.
    ///
    /// # Errors
    /// If others could remove this user's files from the folder.
    pub fn open(command: &str) -> Result<Self, Problem> {
        Ok(Self::of(LockFolder::named(PREFIX)?.held_by(command)))
    }

    fn of(folder: LockFolder) -> Self {
        let host = host(&folder);
        Self { folder, host }
    }

    /// This host, as the label of what belongs to a session has it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Begins a session: a new id, and its lease, which ends when it is dropped, or with this process.
    ///
    /// # Errors
    /// If there is no randomness, or no file can be made.
    pub fn begin(&self) -> Result<(String, Held), Problem> {
        // Somebody who sweeps may have a new file for a moment.
        for _ in 0..MOST_TRIES {
            let mut random = [0_u8; 8];
            getrandom::fill(&mut random).map_err(|error| {
                Problem::error(Code::StateUnusable, format!("cannot choose a session's id: {error}"))
                    .hint("Check that this system has a source of randomness.")
            })?;
            let id = format!("{:016x}", u64::from_ne_bytes(random));
            if let Some(held) = self.folder.try_lock(&id)? {
                return Ok((id, held));
            }
        }
        Err(Problem::error(Code::StateUnusable, "other processes hold the lease of every new session")
            .hint("See who locks files named `farrier-session` with `lslocks`."))
    }

    /// Waits until the launch whose session it is has ended, and keeps everybody else from removing what it left.
    ///
    /// # Errors
    /// If the lock cannot be taken.
    pub async fn after(&self, session: &str) -> Result<Held, Problem> {
        self.folder.lock(session, |_| ()).await
    }

    /// The lease of a session whose launch is gone; `None` if it goes on, or if this host does not know. `host` is what the
    /// session's label says. What a local engine kept over a restart of this machine belongs to no launch.
    pub async fn abandoned(&self, session: &str, host: &str, is_local: bool) -> Option<Held> {
        if !knows(&self.host, host, is_local) {
            return None;
        }
        for _ in 0..MOST_LOOKS {
            let held = self.folder.try_lock(session).ok()?;
            if held.is_some() || self.folder.holder(session).is_some() {
                return held;
            }
            // A launch has signed its lease. Somebody who only looks has it for a moment.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        None
    }

    /// The launch whose session this is, if it goes on, and this host knows it.
    #[must_use]
    pub fn holder(&self, session: &str) -> Option<Holder> {
        self.folder.holder(session)
    }

    /// Whether a launch of this host was killed and left its lease, and maybe more.
    #[must_use]
    pub fn were_left(&self) -> bool {
        self.ids().any(|id| self.folder.is_free(&id))
    }

    /// Removes the leases of launches that are gone, once nothing else is left of their sessions.
    pub fn sweep(&self) {
        for id in self.ids() {
            LockFolder::sweep(&self.folder.lock_file(&id));
        }
    }

    /// Removes the files of the locks that killed launches left. Those with a session's id in their names, nobody takes again.
    pub fn sweep_locks(&self) {
        self.folder.sweep_others();
    }

    fn ids(&self) -> impl Iterator<Item = String> {
        let begin = format!("{PREFIX}.");
        let entries = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let name = entry.file_name();
            let id = name.to_str()?.strip_prefix(&begin)?.strip_suffix(LOCK)?;
            Some(id.to_owned())
        })
    }
}

/// The machine, its boot and the folder of locks, each as a digest; empty if the system does not tell.
fn host(folder: &LockFolder) -> String {
    let told = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() {
            String::new()
        } else {
            sha256_hex(format!("farrier {text}"))[..DIGITS].to_owned()
        }
    };
    let identity = std::fs::metadata(folder.path()).map(|found| format!("{}:{}", found.dev(), found.ino()));
    let identity = sha256_hex(identity.unwrap_or_default())[..DIGITS].to_owned();
    format!("{}.{}.{identity}", told("/etc/machine-id"), told("/proc/sys/kernel/random/boot_id"))
}

/// Whether a host with this identity can tell from its leases what became of a session of the other.
fn knows(own: &str, other: &str, is_local: bool) -> bool {
    let parts = |host: &str| -> Option<[String; 3]> {
        host.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().ok()
    };
    let (Some([machine, boot, folder]), Some([other_machine, other_boot, other_folder])) =
        (parts(own), parts(other))
    else {
        return false;
    };
    if boot == other_boot {
        return folder == other_folder;
    }
    is_local && !machine.is_empty() && machine == other_machine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(folder: &tempfile::TempDir) -> SessionLeases {
        SessionLeases::of(LockFolder::open_at(folder.path(), PREFIX).expect("a folder").held_by("a test"))
    }

    #[tokio::test]
    async fn a_session_is_abandoned_once_nobody_holds_its_lease() {
        let folder = tempfile::tempdir().expect("a folder");
        let (launch, other) = (leases(&folder), leases(&folder));
        let (id, held) = launch.begin().expect("a session");
        assert_eq!(id.len(), 16, "{id}");
        assert!(other.abandoned(&id, launch.host(), true).await.is_none());
        assert!(!other.were_left());
        assert_eq!(other.holder(&id).map(|holder| holder.command), Some("a test".to_owned()));
        drop(held);
        assert_eq!(other.holder(&id), None);
        assert!(other.abandoned(&id, launch.host(), true).await.is_some());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[tokio::test]
    async fn a_session_that_somebody_only_looks_at_is_abandoned_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let leases = leases(&folder);
        let left = folder.path().join("farrier-session.0123456789abcdef@lock");
        std::fs::write(&left, format!("{}\na launch", u32::MAX)).expect("a file");
        let looks = std::fs::File::open(&left).expect("a file");
        looks.try_lock_shared().expect("a lock");
        let host = leases.host().to_owned();
        let mut abandoned = Box::pin(leases.abandoned("0123456789abcdef", &host, true));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
        drop(looks);
        assert!(abandoned.await.is_some());
    }

    #[test]
    fn what_a_killed_launch_left_is_seen_and_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        let leases = leases(&folder);
        let left = folder.path().join("farrier-session.0123456789abcdef@lock");
        std::fs::write(&left, "1\na launch").expect("a file");
        assert!(leases.were_left());
        leases.sweep();
        assert!(!leases.were_left());
        assert!(!left.exists());
    }

    #[test]
    fn the_locks_of_killed_launches_are_swept_but_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let leases = leases(&folder);
        let engine = LockFolder::open_at(folder.path(), "farrier-0123456789ab").expect("a folder");
        let kept = ["farrier-session.fedcba9876543210@lock", "theirs@lock", "farrier-theirs"];
        let left = ["farrier-0123456789ab.farrier-web-0123456789abcdef@lock", "farrier-container.id@lock"];
        for name in kept.iter().chain(&left) {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let held = engine.try_lock("network:0123456789abcdef").expect("a lock");
        leases.sweep_locks();
        let names: std::collections::BTreeSet<String> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let held_name = "farrier-0123456789ab.network:0123456789abcdef@lock";
        assert_eq!(names, kept.into_iter().chain([held_name]).map(str::to_owned).collect());
        drop(held);
    }

    #[test]
    fn a_host_judges_its_own_sessions_and_those_before_its_restart() {
        for (own, other, is_local, expected) in [
            ("m.b.f", "m.b.f", false, true),
            ("m.b.f", "m.b.f", true, true),
            ("m.b.f", "m.b.g", true, false),
            ("m.b.f", "m.c.f", true, true),
            ("m.b.f", "m.c.g", true, true),
            ("m.b.f", "m.c.f", false, false),
            ("m.b.f", "n.c.f", true, false),
            (".b.f", ".c.f", true, false),
            ("m.b.f", "", true, false),
            ("m.b.f", "forged", true, false),
            ("m.b.f", "m.c.f.x", true, false),
        ] {
            assert_eq!(knows(own, other, is_local), expected, "{own} {other} {is_local}");
        }
    }
}
