//! The files that keys of a definition name, and whose content makes the container what it is.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::decode::unset;
use super::dotenv;
use super::model::{Definition, Mount};
use super::template::Part;
use super::{Exceeded, ReadingBudget};
use crate::report::error::{Code, Problem};
use crate::system::digest::sha256_hex;
use crate::system::folders::own_folders;

/// The largest file of variables, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Where copies of bound files are kept, below farrier's folder for its state.
pub const COPIES: &str = "bound";

/// What is mounted from the engine's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The path that the engine mounts.
    pub path: PathBuf,
    /// The digest of a file's content, if it is mounted read-only and is not too large.
    pub digest: Option<String>,
    /// What the path has to contain before it is mounted: of a file of the workspace, the container gets a copy.
    pub copy: Option<Vec<u8>>,
    /// What is there.
    pub kind: BoundKind,
}

/// What is at a bound path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKind {
    /// A file.
    File {
        /// How many bytes it has.
        size: u64,
        /// Whether somebody may execute it.
        is_executable: bool,
    },
    /// A folder.
    Folder,
    /// A socket, a device or a pipe.
    Other,
}

impl BoundKind {
    fn of(found: &Metadata) -> Self {
        if found.is_dir() {
            Self::Folder
        } else if found.is_file() {
            Self::File { size: found.len(), is_executable: found.mode() & 0o111 != 0 }
        } else {
            Self::Other
        }
    }
}

/// A file that a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// The key: `env_file[0]`.
    pub field: String,
    /// The digest of its content; `None` if there is no such file, or its content does not matter.
    pub digest: Option<String>,
}

impl Definition {
    /// Reads the files that its keys name, and puts into its keys what their content makes of them.
    #[must_use]
    pub(super) fn read_files(&mut self, budget: &ReadingBudget) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.read_variables(budget, &mut problems);
        self.read_binds(budget, &mut problems);
        self.check_harness(&mut problems);
        problems.extend(self.confined_paths().err().into_iter().flatten());
        problems.into_iter().map(|problem| problem.of(&self.name)).collect()
    }

    fn read_variables(&mut self, budget: &ReadingBudget, problems: &mut Vec<Problem>) {
        if self.container.env_file.is_empty() {
            return;
        }
        let mut variables = std::collections::BTreeMap::new();
        for (index, file) in self.container.env_file.clone().iter().enumerate() {
            let field = format!("env_file[{index}]");
            match self.content(Path::new(&file.path), budget) {
                Ok(bytes) => {
                    self.files.push(ReadFile { field: field.clone(), digest: Some(sha256_hex(&bytes)) });
                    match variables_of(&bytes) {
                        Ok(found) => variables.extend(found),
                        Err(reason) => {
                            let message =
                                format!("the file of variables `{}` cannot be read: {reason}", file.path);
                            let hint =
                                "Write `NAME=value` on each line; single quotes keep a value as it is.";
                            let problem = Problem::error(Code::FileUnusable, message);
                            problems.push(problem.at(self.place(&field)).hint(hint));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && !file.required => {
                    self.files.push(ReadFile { field, digest: None });
                }
                Err(error) => problems.push(self.unusable(&field, &file.path, &error)),
            }
        }
        for (name, value) in variables {
            self.container.env.entry(name).or_insert(value);
        }
        self.check_variables(problems);
    }

    /// Whether the variables of files are there that other fields name.
    fn check_variables(&self, problems: &mut Vec<Problem>) {
        for readiness in &self.readiness {
            for (index, name) in readiness.grants.env.iter().enumerate() {
                if !self.container.env.contains_key(name) {
                    let field = format!("{}.grants.env[{index}]", readiness.field);
                    problems.push(unset(&field, name).at(self.place(&field)));
                }
            }
        }
    }

    fn read_binds(&mut self, budget: &ReadingBudget, problems: &mut Vec<Problem>) {
        let mut mounts = std::mem::take(&mut self.container.mounts);
        let mut index = 0;
        for mount in &mut mounts {
            let Mount::Bind { source, writable, bound, .. } = mount else { continue };
            // Among all mounts as written.
            while !self.places.contains_key(&format!("mounts[{index}].bind"))
                && self.places.contains_key(&format!("mounts[{index}]"))
            {
                index += 1;
            }
            let field = format!("mounts[{index}]");
            index += 1;
            let found = if self.layer.is_trusted() {
                self.bound(source, *writable, budget)
            } else if *writable {
                problems.push(self.unsupported(&field, source, "could write to it"));
                continue;
            } else {
                match self.copied(source, budget) {
                    Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                        problems.push(self.unsupported(
                            &field,
                            source,
                            "would see whatever is put into it later",
                        ));
                        continue;
                    }
                    copied => copied,
                }
            };
            match found {
                Ok(found) => {
                    self.files.push(ReadFile { field, digest: found.digest.clone() });
                    *bound = Some(Arc::new(found));
                }
                Err(error) => problems.push(self.unusable(&field, source, &error)),
            }
        }
        self.container.mounts = mounts;
    }

    /// What a trusted definition binds: the path itself, and if it is a file that nobody writes to through it, its content.
    fn bound(&self, source: &str, writable: bool, budget: &ReadingBudget) -> io::Result<Bound> {
        let path = self.folder().join(self.named(Path::new(source))?);
        let path = std::path::absolute(path)?.canonicalize()?;
        let found = std::fs::metadata(&path)?;
        let is_hashed = found.is_file() && !writable && found.len() <= MOST_BYTES;
        let digest = if is_hashed { Some(sha256_hex(self.content(&path, budget)?)) } else { None };
        Ok(Bound { path, digest, copy: None, kind: BoundKind::of(&found) })
    }

    /// What a workspace definition binds: a copy, because whoever writes to the workspace could put a link in the place of
    /// the file whenever the engine is about to look for it.
    fn copied(&self, source: &str, budget: &ReadingBudget) -> io::Result<Bound> {
        let bytes = self.content(Path::new(source), budget)?;
        let digest = sha256_hex(&bytes);
        let (_, state) = own_folders();
        let folder = state.ok_or_else(|| io::Error::other("there is no home directory to keep a copy in"))?;
        let path = folder.join(COPIES).join(&digest);
        let kind = BoundKind::File { size: bytes.len() as u64, is_executable: false };
        Ok(Bound { path: std::path::absolute(path)?, digest: Some(digest), copy: Some(bytes), kind })
    }

    fn unsupported(&self, field: &str, source: &str, why: &str) -> Problem {
        let message =
            format!("`{}` comes from the workspace and binds `{source}`, and the container {why}", self.name);
        Problem::error(Code::UnsupportedMount, message)
            .at(self.place(field))
            .hint("Bind single files, read-only: `mounts = [\"bind:./init.sql:/init.sql:ro\"]`.")
            .hint("Keep data in a named volume: `mounts = [\"volume:data:/data\"]`.")
    }

    /// Whether the values that the harness gets can be told in one line.
    fn check_harness(&self, problems: &mut Vec<Problem>) {
        for (variable, template) in &self.harness_env {
            let field = format!("harness.env.{variable}");
            for part in template.parts() {
                let Part::Variable(name) = part else { continue };
                let reason = match self.container.env.get(name) {
                    None => "is not set",
                    Some(value) if value.contains(char::is_control) => {
                        "contains a line break or another control character"
                    }
                    Some(_) => continue,
                };
                let message = format!("`{field}` takes the variable `{name}` of `env`, which {reason}");
                let problem = Problem::error(Code::InvalidValue, message);
                problems.push(problem.at(self.place(&field)).hint("Set it in `env` to one line of text."));
            }
        }
    }

    /// All of a file that the definition names.
    ///
    /// # Errors
    /// As the operating system has it, or that it is no file of at most 1 MiB inside the workspace.
    pub fn content(&self, path: &Path, budget: &ReadingBudget) -> io::Result<Vec<u8>> {
        let path = self.named(path)?;
        let file = self.open_beside(&path)?;
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        if !found.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if found.len() > MOST_BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        budget.take_file(found.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        budget.timed(file).take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        Ok(bytes)
    }

    /// A path as the definition means it: in a trusted layer also absolute or below the home directory, in the workspace
    /// only beside the definition and inside the workspace.
    pub(super) fn named(&self, path: &Path) -> io::Result<std::path::PathBuf> {
        if self.layer.is_trusted() {
            let home = || std::env::var_os("HOME").map(std::path::PathBuf::from);
            let below_home = path.strip_prefix("~").ok().and_then(|rest| Some(home()?.join(rest)));
            return Ok(below_home.unwrap_or_else(|| path.to_owned()));
        }
        let is_relative =
            path.components().all(|part| !matches!(part, Component::RootDir | Component::Prefix(_)));
        if is_relative && !path.starts_with("~") {
            return Ok(path.to_owned());
        }
        Err(outside())
    }

    pub(super) fn unusable(&self, field: &str, path: &str, error: &io::Error) -> Problem {
        let place = self.place(field);
        if let Some(exceeded) = Exceeded::of(error) {
            return Problem::from(exceeded).at(place);
        }
        let leaves = error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
        let (code, hint) = if leaves {
            (
                Code::OutsideWorkspace,
                "Put the file into the workspace, and write its path from the definition's folder.",
            )
        } else {
            (Code::FileUnusable, "Check the path, which starts at the definition's folder.")
        };
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "it is not there".to_owned(),
            _ => error.to_string(),
        };
        Problem::error(code, format!("`{field}` names `{path}`, which cannot be used: {reason}"))
            .at(place)
            .hint(hint)
    }
}

/// What a path outside of the workspace is answered with.
pub(super) fn outside() -> io::Error {
    let message = "a workspace definition may use only files of the workspace";
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// The variables of a file. Nothing in them is interpolated.
fn variables_of(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    if text.contains('\0') {
        return Err("it contains a NUL character".to_owned());
    }
    dotenv::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|(line, reason)| format!("line {line}: {reason}"))
}
