//! How long earlier launches took, a line of JSON each, in the state folder. It is for people to compare with:
//! nothing depends on it, so what cannot be read or written is left out.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::Timings;
use crate::report::elapsed::milliseconds;
use crate::system::private_files::{private_folder, write_atomically};

/// Above this size the older half is dropped: some thousand launches of a few sidecars.
const MOST_BYTES: u64 = 1 << 20;
/// Only this user may read and write it.
const MODE: u32 = 0o600;
/// Launches that a new one is compared with.
const COMPARED: usize = 5;

/// One sidecar's part in one launch.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    container: String,
    action: String,
    total_ms: f64,
}

/// The file.
#[derive(Clone, Debug)]
pub struct History(PathBuf);

impl History {
    /// The file in this state folder; it need not exist.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self(state.join("timings.jsonl"))
    }

    /// All earlier launches that are known; none where the file cannot be read.
    #[must_use]
    pub fn past(&self) -> Past {
        let text = self.read().unwrap_or_default();
        Past(text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Adds a launch whose sidecars were all ready.
    ///
    /// # Errors
    /// When the file cannot be written, or is not this user's own.
    pub fn add(&self, timings: &Timings) -> io::Result<()> {
        let mut lines = String::new();
        for sidecar in &timings.sidecars {
            let Some(total) = sidecar.parts().total else { continue };
            let (container, action) = (sidecar.container.clone(), sidecar.action.clone());
            let entry = Entry { container, action, total_ms: milliseconds(total) };
            lines.push_str(&serde_json::to_string(&entry)?);
            lines.push('\n');
        }
        let mut file = match self.open(OpenOptions::new().append(true).create(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private_folder(self.folder())?;
                self.open(OpenOptions::new().append(true).create(true))?
            }
            opened => opened?,
        };
        // One call, so that launches that end at the same moment do not mix their lines.
        file.write_all(lines.as_bytes())?;
        if file.metadata()?.len() > MOST_BYTES { self.shorten() } else { Ok(()) }
    }

    fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    /// Drops the older half; a line that is written at the same moment may be lost with it.
    fn shorten(&self) -> io::Result<()> {
        let text = self.read()?;
        let half = text.len() / 2;
        let cut =
            text.bytes().skip(half).position(|byte| byte == b'\n').map_or(text.len(), |at| half + at + 1);
        write_atomically(&self.0, &[&text.as_bytes()[cut..]])
    }

    fn read(&self) -> io::Result<String> {
        let mut file = self.open(OpenOptions::new().read(true))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2 * MOST_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(2 * MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A regular file of this user; a link or a pipe in its place is somebody else's.
    fn open(&self, options: &mut OpenOptions) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = options.mode(MODE).custom_flags(flags).open(&self.0)?;
        let found = file.metadata()?;
        let own = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
        if !own {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // The umask may have taken bits away that the next launch needs.
        if found.mode() & 0o777 != MODE {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        Ok(file)
    }
}

/// Earlier launches, the newest first.
#[derive(Debug, Default)]
pub struct Past(Vec<Entry>);

impl Past {
    /// The middle one of the last launches' times in which the same was done with this container, and how many
    /// they are.
    #[must_use]
    pub fn median(&self, container: &str, action: &str) -> Option<(Duration, usize)> {
        let mut times = self.latest(container, action);
        times.sort();
        times.get(times.len() / 2).map(|middle| (*middle, times.len()))
    }

    /// How long the last launches took in which the same was done with this container, the newest first.
    #[must_use]
    pub fn latest(&self, container: &str, action: &str) -> Vec<Duration> {
        let same = self.0.iter().filter(|entry| entry.container == container && entry.action == action);
        let times = same.filter_map(|entry| Duration::try_from_secs_f64(entry.total_ms / 1_000.0).ok());
        times.take(COMPARED).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::timings::SidecarTimings;

    fn launch(total: u64) -> Timings {
        let sidecar = SidecarTimings {
            container: "farrier-db".to_owned(),
            action: "reuse".to_owned(),
            ready: Some(Duration::from_millis(total)),
            ..SidecarTimings::default()
        };
        Timings { sidecars: vec![sidecar], ..Timings::default() }
    }

    #[test]
    fn the_last_launches_of_the_same_kind_are_compared() {
        let folder = tempfile::tempdir().expect("folder");
        let history = History::of(&folder.path().join("deep/er"));
        assert_eq!(history.past().median("farrier-db", "reuse"), None);
        for total in [9_000, 9_000, 9_000, 10, 30, 20, 50, 40] {
            history.add(&launch(total)).expect("written");
        }
        assert_eq!(history.past().median("farrier-db", "reuse"), Some((Duration::from_millis(30), 5)));
        assert_eq!(history.past().median("farrier-db", "create"), None);
        assert_eq!(history.past().median("farrier-other", "reuse"), None);
    }

    #[test]
    fn it_stays_small_and_survives_damage() {
        let folder = tempfile::tempdir().expect("folder");
        let history = History::of(folder.path());
        history.add(&launch(7)).expect("written");
        let damage = "x".repeat(usize::try_from(MOST_BYTES).expect("small")) + "\n\0\u{fffd}\n";
        OpenOptions::new()
            .append(true)
            .open(&history.0)
            .expect("file")
            .write_all(damage.as_bytes())
            .expect("written");
        history.add(&launch(8)).expect("written");
        assert!(std::fs::metadata(&history.0).expect("file").len() < MOST_BYTES);
        assert_eq!(history.past().median("farrier-db", "reuse"), Some((Duration::from_millis(8), 1)));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let history = History::of(folder.path());
        let target = folder.path().join("target");
        std::fs::write(&target, "").expect("written");
        std::os::unix::fs::symlink(&target, &history.0).expect("linked");
        history.add(&launch(7)).expect_err("refused");
        assert_eq!(std::fs::read_to_string(&target).expect("read"), "");
    }
}
