//! The folder of one instance, and the files in it: what the instance is, how its run is going, and the lock of its supervisor.

use std::borrow::Cow;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::control_group::ControlGroup;
use super::health::HealthRecord;
use super::specification::Specification;
use super::state::RunState;
use super::watchers;
use crate::system::private_files::{read_private, write_atomically};

/// The largest file of the engine's own that is read.
pub(super) const MOST_BYTES: u64 = 4 << 20;

/// The folder of one instance.
#[derive(Clone, Debug)]
pub struct InstanceFolder(pub PathBuf);

impl InstanceFolder {
    /// The instance's id, which its folder is named after.
    pub fn id(&self) -> Cow<'_, str> {
        self.0.file_name().unwrap_or_default().to_string_lossy()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The file that a supervisor locks.
    pub fn lock_file(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.file("lock"))
    }

    /// Whether a supervisor holds the lock; `None` if there is no such instance any more.
    pub(super) fn is_locked(&self) -> Option<bool> {
        match self.lock_file() {
            Ok(file) => Some(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
            Err(_) => self.0.is_dir().then_some(false),
        }
    }

    /// What the instance is.
    pub fn specification(&self) -> Option<Specification> {
        read_json(&self.file("specification.json"))
    }

    /// How its run is going.
    pub fn state(&self) -> Option<RunState> {
        read_json(&self.file("state.json"))
    }

    /// The control groups of its program, which runs.
    pub fn control_group(&self) -> ControlGroup {
        let id = self.id();
        let program = self.state().and_then(|state| state.program);
        program.map_or_else(ControlGroup::none, |program| ControlGroup::of_program(program, &id))
    }

    /// What its health test said.
    pub(super) fn health(&self) -> Option<HealthRecord> {
        read_json(&self.file("health.json"))
    }

    /// Writes down what its health test said, and if that matters lets everybody know who waits for it.
    pub fn write_health(&self, record: &HealthRecord, is_told: bool) -> io::Result<()> {
        write_json(&self.file("health.json"), record)?;
        if is_told {
            self.tell();
        }
        Ok(())
    }

    /// Lets everybody know who waits for it that something changed. Who is not woken looks a little later.
    fn tell(&self) {
        let id = self.0.file_name().unwrap_or_default().to_string_lossy();
        if let Some(root) = self.0.ancestors().nth(2) {
            watchers::tell(&root.join("changes"), &id);
        }
    }

    /// Writes down how the run is going, and lets everybody know who waits for it.
    pub fn write_state(&self, state: &RunState) -> io::Result<()> {
        write_json(&self.file("state.json"), state)?;
        self.tell();
        Ok(())
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&read_private(path, MOST_BYTES)?).ok()
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_atomically(path, &[&serde_json::to_vec(value)?])
}
