//! Reading the components that definitions name: each file once, and all of them within one budget.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::component::{ComponentError, ComponentFile};
use super::limits::COMPONENT_BYTES;
use crate::definition::ReadingBudget;

/// What a file is, whatever it is called: device, inode, size and time of its last change.
type Identity = (u64, u64, u64, i64, i64);

/// Reads components. A file that several definitions name is read, hashed and counted once.
#[derive(Debug, Default)]
pub struct ComponentReader {
    budget: Arc<ReadingBudget>,
    known: Mutex<HashMap<Identity, Arc<ComponentFile>>>,
}

impl ComponentReader {
    /// A reader that takes what it reads from this budget.
    #[must_use]
    pub fn of(budget: Arc<ReadingBudget>) -> Self {
        Self { budget, known: Mutex::default() }
    }

    /// What granted folders are taken from too.
    #[must_use]
    pub fn budget(&self) -> &ReadingBudget {
        &self.budget
    }

    /// Reads what was opened without waiting (`O_NONBLOCK`). Bytes with another digest than the pin are not parsed.
    ///
    /// # Errors
    /// As [`ComponentFile::pinned`], or when the budget is used up.
    pub fn read(
        &self,
        opened: io::Result<File>,
        pin: Option<&str>,
    ) -> Result<Arc<ComponentFile>, ComponentError> {
        let Ok(file) = opened else { return ComponentFile::from_file(opened).map(Arc::new) };
        let found = file.metadata().map_err(|error| ComponentError::Unreadable(error.to_string()))?;
        let identity = (found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        if let Some(known) = self.known().get(&identity) {
            return match pin {
                Some(pin) if pin != known.digest => Err(ComponentError::OtherDigest(known.digest.clone())),
                _ => Ok(Arc::clone(known)),
            };
        }
        // A larger file is refused without being read.
        self.budget.take_file(found.len().min(COMPONENT_BYTES))?;
        let read = Arc::new(ComponentFile::pinned(file, pin, &self.budget)?);
        self.known().insert(identity, Arc::clone(&read));
        Ok(read)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, Arc<ComponentFile>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
