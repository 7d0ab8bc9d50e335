//! Where `${NAME}` in a definition gets its value: from the launcher's environment, then from `.env` beside the layer's
//! folder; for the workspace, in its root.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::dotenv;
use super::read::{Access, OTHERS_WRITE};
use super::{Exceeded, ReadingBudget};
use crate::report::error::{Code, Place, Problem};
use crate::report::shell::chmod;

/// The file of variables.
const FILE: &str = ".env";
/// The largest one, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Values for one definition. The file is read once, and only if the environment lacks a variable.
pub struct Variables<'a> {
    definition: &'a Path,
    access: &'a Access,
    budget: &'a ReadingBudget,
    file: OnceCell<Result<BTreeMap<String, String>, Problem>>,
}

impl<'a> Variables<'a> {
    /// Those of a definition's file.
    pub const fn of(definition: &'a Path, access: &'a Access, budget: &'a ReadingBudget) -> Self {
        Self { definition, access, budget, file: OnceCell::new() }
    }

    /// A variable's value; `None` if it is set nowhere.
    ///
    /// # Errors
    /// If the environment's value is no text, or the file cannot be used.
    pub fn get(&self, name: &str) -> Result<Option<String>, Problem> {
        match std::env::var(name) {
            Ok(value) => return Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                let message = format!("the variable `{name}` of the environment is not UTF-8 text");
                return Err(Problem::error(Code::InvalidValue, message).hint("Set it to another value."));
            }
        }
        let file = self.file.get_or_init(|| self.read());
        file.as_ref().map(|variables| variables.get(name).cloned()).map_err(Problem::clone)
    }

    /// Where the file would be.
    fn path(&self) -> PathBuf {
        match self.access {
            Access::Beneath { root_path, .. } => root_path.join(FILE),
            Access::Trusted => {
                let layer = self.definition.parent().and_then(Path::parent).unwrap_or(Path::new(""));
                layer.join(FILE)
            }
        }
    }

    fn read(&self) -> Result<BTreeMap<String, String>, Problem> {
        let path = self.path();
        let unusable = |reason: &str| {
            Problem::error(Code::FileUnusable, format!("the file of variables cannot be used: {reason}"))
                .at(Place::file(&path))
                .hint("Write `NAME=value` on each line, or set the variables in the environment.")
        };
        let bytes = match self.bytes() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) if Exceeded::of(&error).is_some() => {
                return Err(Problem::from(Exceeded).at(Place::file(&path)));
            }
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() =>
            {
                return Err(unusable(
                    "anyone on this machine can write to it, or it leads out of the workspace",
                )
                .hint(format!("Run `{}` after checking what it says.", chmod("o-w", &path))));
            }
            Err(error) => return Err(unusable(&error.to_string())),
        };
        let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8 text"))?;
        let variables = dotenv::parse(text.trim_start_matches('\u{feff}'));
        let variables = variables.map_err(|(line, reason)| unusable(&format!("line {line}: {reason}")))?;
        Ok(variables.into_iter().collect())
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        // Without O_NONBLOCK opening a FIFO waits for somebody to write to it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = match self.access {
            Access::Trusted => OpenOptions::new().read(true).custom_flags(flags).open(self.path())?,
            Access::Beneath { root, .. } => {
                use cap_std::fs::OpenOptionsExt as _;
                let mut options = cap_std::fs::OpenOptions::new();
                root.open_with(FILE, options.read(true).custom_flags(flags))?.into_std()
            }
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if matches!(self.access, Access::Trusted) && found.mode() & OTHERS_WRITE != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if found.len() > MOST_BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        self.budget.take_file(found.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        self.budget.timed(file).take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
