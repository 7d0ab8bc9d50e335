//! Files and folders that a definition names: beside its own file in a trusted layer, and there beneath the
//! workspace in the workspace's, where no symlink may lead out.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::OFlags;

use super::model::Definition;
use super::read::{Access, is_escape};

/// What an attempt to leave the workspace is answered with; nothing is told of what lies there.
const ESCAPE: &str = "it leads out of the workspace";

impl Definition {
    /// Opens a file that the definition names, without ever waiting on a pipe or a device.
    ///
    /// # Errors
    /// As the operating system has it, or that the path leads out of the workspace.
    pub fn open_beside(&self, path: &Path) -> io::Result<File> {
        // Without O_NONBLOCK opening a FIFO waits for somebody to write to it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        match &self.access {
            Access::Trusted => {
                OpenOptions::new().read(true).custom_flags(flags).open(self.folder().join(path))
            }
            Access::Beneath { root, relative, .. } => {
                use cap_std::fs::OpenOptionsExt as _;
                let mut options = cap_std::fs::OpenOptions::new();
                options.read(true).custom_flags(flags);
                let opened = root.open_with(inside(relative, path), &options);
                opened.map(cap_std::fs::File::into_std).map_err(told)
            }
        }
    }

    /// Opens a folder below the definition's own; what is read through it cannot lie elsewhere.
    ///
    /// # Errors
    /// As the operating system has it, or that the path leads out of the workspace.
    pub fn open_folder_beside(&self, path: &Path) -> io::Result<Dir> {
        let own = match &self.access {
            Access::Trusted => Dir::open_ambient_dir(self.folder(), ambient_authority()),
            Access::Beneath { root, relative, .. } => match relative.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => root.open_dir(parent),
                _ => root.try_clone(),
            },
        };
        own.and_then(|own| own.open_dir(path)).map_err(told)
    }

    /// The folder that the definition's own paths start from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.file().parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

fn inside(definition: &Path, path: &Path) -> PathBuf {
    definition.parent().unwrap_or(Path::new("")).join(path)
}

fn told(error: io::Error) -> io::Error {
    if is_escape(&error) { io::Error::new(error.kind(), ESCAPE) } else { error }
}
