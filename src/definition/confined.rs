//! The files and folders that a confined program may use: the paths of a definition, without links.

use std::io;
use std::path::{Path, PathBuf};

use super::model::Definition;
use super::read::Access;
use crate::report::error::Problem;

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfinedPaths {
    /// What the program may read.
    pub read: Vec<PathBuf>,
    /// What it may also write.
    pub write: Vec<PathBuf>,
}

impl Definition {
    /// What a confined program may use; `None` if its definition does not confine it.
    ///
    /// # Errors
    /// Every path that does not exist, or leads out of the workspace whose definition names it.
    pub fn confined_paths(&self) -> Result<Option<ConfinedPaths>, Vec<Problem>> {
        let Some(confinement) = &self.container.confine else { return Ok(None) };
        let mut problems = Vec::new();
        let mut resolved = |key: &str, paths: &[String]| -> Vec<PathBuf> {
            let field = |index: usize| format!("confine.{key}[{index}]");
            let each = paths.iter().enumerate().filter_map(|(index, path)| match self.resolved(path) {
                Ok(path) => Some(path),
                Err(error) => {
                    problems.push(self.unusable(&field(index), path, &error).of(&self.name));
                    None
                }
            });
            each.collect()
        };
        let paths = ConfinedPaths {
            read: resolved("read", &confinement.read),
            write: resolved("write", &confinement.write),
        };
        if problems.is_empty() { Ok(Some(paths)) } else { Err(problems) }
    }

    fn resolved(&self, path: &str) -> io::Result<PathBuf> {
        let named = self.named(Path::new(path))?;
        match &self.access {
            Access::Trusted => std::path::absolute(self.folder().join(named))?.canonicalize(),
            Access::Beneath { root_path, relative, .. } => {
                let folder = root_path.join(relative.parent().unwrap_or(Path::new("")));
                let path = folder.join(named).canonicalize()?;
                if path.starts_with(root_path) { Ok(path) } else { Err(super::files::outside()) }
            }
        }
    }
}
