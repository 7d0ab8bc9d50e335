//! The program of this host that a definition runs: where its file is, and what is in it.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access as FileAccess, access};
use sha2::{Digest, Sha256};

use super::model::Definition;
use super::read::Access;
use super::{Exceeded, ReadingBudget};
use crate::report::error::{Code, Problem};

/// Bytes of a program that are read at once.
const CHUNK: usize = 64 << 10;

/// A program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundProgram {
    /// Its path.
    pub path: PathBuf,
    /// The digest of its content, if the workspace brings it along.
    pub digest: Option<String>,
}

/// The digest of a program: `sha256:` and 64 hex digits.
///
/// # Errors
/// If it cannot be read.
pub fn program_digest(mut file: impl Read) -> io::Result<String> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0_u8; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(format!("sha256:{}", hex::encode(hasher.finalize()))),
            Ok(read) => hasher.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Definition {
    /// Finds the program that it runs; `None` if it runs an image. A path starts at the definition's folder, and in the
    /// workspace stays inside of it, where what is read of it is taken from the budget.
    ///
    /// # Errors
    /// If there is no such program, or this user may not run it.
    pub fn find_program(&self, budget: &ReadingBudget) -> Option<Result<FoundProgram, Problem>> {
        let word = self.container.program.as_ref()?.first()?;
        let missing = |code, reason: &str, hint: &str| {
            let message = format!("the program `{word}` {reason}");
            Problem::error(code, message).of(&self.name).at(self.place("program")).hint(hint)
        };
        if !word.contains('/') {
            let found = on_path(word).map(|path| FoundProgram { path, digest: None });
            return Some(found.ok_or_else(|| {
                let hint =
                    "Install it, check its spelling and PATH, or name its file: `program = [\"./server\"]`.";
                missing(Code::ProgramMissing, "is not on PATH", hint)
            }));
        }
        let hint =
            "Check the path, which is relative to the definition's folder, and that the file is executable.";
        let found = match &self.access {
            Access::Trusted => self.trusted(word),
            Access::Beneath { .. } if !is_inside(Path::new(word)) => {
                let hint = "Write a path relative to the definition's folder, such as \"../../server\".";
                let reason = "is outside the workspace, and a workspace definition may not run it";
                return Some(Err(missing(Code::OutsideWorkspace, reason, hint)));
            }
            Access::Beneath { root_path, relative, .. } => {
                self.of_the_workspace(word, root_path, relative, budget)
            }
        };
        let exceeded = |exceeded| Problem::from(exceeded).of(&self.name).at(self.place("program"));
        Some(found.map_err(|error| match error.kind() {
            _ if Exceeded::of(&error).is_some() => exceeded(Exceeded),
            io::ErrorKind::NotFound => missing(Code::ProgramMissing, "does not exist", hint),
            _ => missing(Code::ProgramMissing, &format!("cannot be run: {error}"), hint),
        }))
    }

    fn trusted(&self, word: &str) -> io::Result<FoundProgram> {
        let path = std::path::absolute(self.beside(word))?;
        check(&path)?;
        Ok(FoundProgram { path, digest: None })
    }

    fn of_the_workspace(
        &self,
        word: &str,
        root: &Path,
        definition: &Path,
        budget: &ReadingBudget,
    ) -> io::Result<FoundProgram> {
        let file = self.open_beside(Path::new(word))?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        budget.take_file(found.len()).map_err(io::Error::other)?;
        let inside = definition.parent().unwrap_or(Path::new("")).join(word);
        let path = root.join(inside).canonicalize()?;
        check(&path)?;
        let content = budget.timed(file.take(found.len()));
        Ok(FoundProgram { path, digest: Some(program_digest(content)?) })
    }

    /// The folder that the program starts in; `None` if the definition names none.
    #[must_use]
    pub fn working_directory(&self) -> Option<PathBuf> {
        let folder = self.beside(self.container.working_dir.as_ref()?);
        Some(std::path::absolute(&folder).unwrap_or(folder))
    }

    /// A path as the definition means it: absolute, below the home directory, or beside its file.
    #[must_use]
    pub fn beside(&self, word: &str) -> PathBuf {
        let home = || std::env::var_os("HOME").map(PathBuf::from);
        match word.strip_prefix("~/").and_then(|rest| Some(home()?.join(rest))) {
            Some(path) if self.layer.is_trusted() => path,
            _ => self.folder().join(word),
        }
    }
}

/// Whether a path is relative, and no attempt to mean the home directory.
fn is_inside(path: &Path) -> bool {
    let is_normal = |part: Component<'_>| !matches!(part, Component::RootDir | Component::Prefix(_));
    path.components().all(is_normal) && !path.starts_with("~")
}

fn on_path(word: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    all.map(|folder| folder.join(word)).find(|candidate| check(candidate).is_ok())
}

/// Whether this user may run the file.
fn check(path: &Path) -> io::Result<()> {
    // Opening a named pipe would wait for somebody to write to it.
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // Root may execute what anybody may.
    if found.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::other("the file is not executable"));
    }
    access(path, FileAccess::EXEC_OK).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fuzzing::definition;

    fn runs(word: &str) -> Result<FoundProgram, Problem> {
        let text = format!(
            "program = ['{word}']\ninterface.kind = 'none'\nlifecycle = 'shared'\nreadiness.probe = 'skip'"
        );
        definition("x", &text)
            .expect("a definition")
            .find_program(&ReadingBudget::default())
            .expect("a program")
    }

    #[test]
    fn a_word_is_found_on_path_and_a_path_is_checked() {
        assert!(runs("sh").expect("there is a shell").path.is_absolute());
        assert_eq!(runs("/bin/sh").expect("a shell").path, Path::new("/bin/sh"));
        for (word, reason) in [
            ("no-such-program-anywhere", "is not on PATH"),
            ("./absent", "does not exist"),
            ("/", "not a file"),
            ("/etc/passwd", "not executable"),
        ] {
            let problem = runs(word).expect_err(word);
            assert!(problem.message.contains(reason) && problem.code == Code::ProgramMissing, "{problem}");
        }
    }

    #[test]
    fn a_digest_is_of_the_content() {
        let digest = |bytes: &[u8]| program_digest(bytes).expect("read");
        assert!(digest(b"a") != digest(b"b") && digest(b"a").starts_with("sha256:"));
        assert_eq!(digest(b"").len(), 71);
    }
}
