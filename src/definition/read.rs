//! Reading one definition file: regular, small, text, and never beyond the workspace for workspace files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Exceeded, ReadingBudget};
use crate::report::error::{Code, Place, Problem, Source};
use crate::report::shell::chmod;
use crate::system::process_limits;

/// The largest file that is read, in bytes: a definition is a page of text.
const MAX_BYTES: u64 = 1024 * 1024;
/// Write permission for everybody.
pub const OTHERS_WRITE: u32 = 0o002;
/// The sticky bit: only owners replace what is in a folder.
pub const STICKY: u32 = 0o1000;

/// How a file is reached.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// By its path: it stands in a trusted layer.
    #[default]
    Trusted,
    /// Beneath a folder that no symlink may leave.
    Beneath {
        /// The folder.
        root: Arc<Dir>,
        /// The folder's resolved path.
        root_path: PathBuf,
        /// The file's path from there.
        relative: PathBuf,
    },
}

/// Reads a file's text.
///
/// # Errors
/// One problem that says why the file is not used. Nothing is quoted from a file outside the workspace.
pub fn read(path: &Path, access: &Access, budget: &ReadingBudget) -> Result<Arc<Source>, Problem> {
    let (file, metadata) = open(path, access)?;
    check_kind(path, &metadata)?;
    let size = metadata.len().min(MAX_BYTES + 1);
    let exceeds = |exceeded| Problem::from(exceeded).at(Place::file(path));
    budget.take_file(size).map_err(exceeds)?;
    if matches!(access, Access::Trusted) && metadata.mode() & OTHERS_WRITE != 0 {
        return Err(Problem::error(
            Code::LayerUnusable,
            "the file is in a trusted layer, but anyone on this machine can write to it",
        )
        .at(Place::file(path))
        .hint(format!("Run `{}` after you have checked its content.", chmod("o-w", path))));
    }
    // Its size is not known to what wraps it, which would begin with reads of a few bytes.
    let mut bytes =
        Vec::with_capacity(usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or_default() + 1);
    let read = budget.timed(file).take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Exceeded::of(&error).map_or_else(|| unreadable(path, &error), exceeds))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(problem(path, "the file is larger than 1 MiB, which no definition needs")
            .hint("Move files that are not definitions out of this folder."));
    }
    text(path, bytes)
}

fn open(path: &Path, access: &Access) -> Result<(File, std::fs::Metadata), Problem> {
    // Without O_NONBLOCK opening a FIFO waits for somebody to write to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = match access {
        Access::Trusted => std::fs::metadata(path).and_then(|metadata| {
            if metadata.is_file() {
                OpenOptions::new().read(true).custom_flags(flags).open(path).map(Some)
            } else {
                Ok(None)
            }
        }),
        Access::Beneath { root, root_path, relative } => {
            open_beneath(root, relative, flags).or_else(|error| {
                if !is_escape(&error) {
                    return Err(error);
                }
                // An absolute symlink back into the workspace looks like an escape; its resolved form does not.
                let resolved = root_path.join(relative).canonicalize();
                match resolved.as_ref().map(|resolved| resolved.strip_prefix(root_path)) {
                    Ok(Ok(inside)) => open_beneath(root, inside, flags),
                    _ => Err(error),
                }
            })
        }
    };
    let file = match opened {
        Ok(Some(file)) => file,
        Ok(None) => return Err(kind_problem(path)),
        Err(error) if matches!(access, Access::Beneath { .. }) && is_escape(&error) => {
            return Err(outside_workspace(path));
        }
        Err(error) => return Err(unreadable(path, &error)),
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    Ok((file, metadata))
}

fn open_beneath(root: &Dir, relative: &Path, flags: i32) -> io::Result<Option<File>> {
    use cap_std::fs::OpenOptionsExt as _;
    if !root.metadata(relative)?.is_file() {
        return Ok(None);
    }
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags);
    root.open_with(relative, &options).map(|file| Some(file.into_std()))
}

/// cap-std's own refusal; the operating system's carry a number.
pub fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// A file or folder of the workspace is reached through a symlink that leaves it.
pub fn outside_workspace(path: &Path) -> Problem {
    Problem::error(Code::OutsideWorkspace, "the path leads out of the workspace through a symlink")
        .at(Place::file(path))
        .hint("Put the file itself into the workspace, or move the definition to the user's own layer.")
}

fn problem(path: &Path, message: impl Into<String>) -> Problem {
    Problem::error(Code::DefinitionUnreadable, message).at(Place::file(path))
}

/// The file cannot be opened or read.
pub fn unreadable(path: &Path, error: &io::Error) -> Problem {
    if let Some(problem) = process_limits::problem(error) {
        return problem;
    }
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return problem(path, "the file is a symlink that leads back to itself")
            .hint("Remove the symlink, or let it point to a file.");
    }
    if error.kind() == io::ErrorKind::NotFound {
        return problem(path, "the file is a symlink to something that does not exist")
            .hint("Remove the symlink, or let it point to a file.");
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return problem(path, "you do not have permission to read the file")
            .hint(format!("Give yourself permission with `{}`, or remove it.", chmod("u+r", path)));
    }
    problem(path, format!("the file cannot be read: {error}")).hint("Check the file, or move it away.")
}

fn check_kind(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Problem> {
    if metadata.is_file() { Ok(()) } else { Err(kind_problem(path)) }
}

fn kind_problem(path: &Path) -> Problem {
    let kind = std::fs::metadata(path).map(|metadata| metadata.file_type());
    let kind = match kind {
        Ok(kind) if kind.is_dir() => "a folder",
        Ok(kind) if kind.is_fifo() => "a named pipe",
        Ok(kind) if kind.is_socket() => "a socket",
        _ => "a device",
    };
    problem(path, format!("this is {kind}, and a definition is a regular file"))
        .hint("Rename it so that it does not end in .toml, .yaml or .yml, or move it away.")
}

/// The text of a file's bytes.
///
/// # Errors
/// When they are not UTF-8, or hold a NUL.
pub fn text(path: &Path, bytes: Vec<u8>) -> Result<Arc<Source>, Problem> {
    let at = |text: String, span: std::ops::Range<usize>| Place {
        source: Arc::new(Source { path: path.to_owned(), text }),
        span,
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // Replacement characters stand exactly where the first wrong byte was.
            let start = error.utf8_error().valid_up_to();
            let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let span = start..start + char::REPLACEMENT_CHARACTER.len_utf8();
            return Err(Problem::error(Code::DefinitionUnreadable, "the file is not UTF-8 text")
                .at(at(lossy, span))
                .hint("Save it as UTF-8."));
        }
    };
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if let Some(start) = text.find('\0') {
        return Err(Problem::error(Code::DefinitionSyntax, "the file contains a NUL byte")
            .at(at(text, start..start + 1))
            .hint("Remove it: definitions are plain text."));
    }
    Ok(Arc::new(Source { path: path.to_owned(), text: with_line_feeds(text) }))
}

/// The text with each line ended by a line feed alone. TOML and YAML leave the ends of lines in multi-line strings to
/// their readers; a file must mean the same whichever system's editor wrote it.
fn with_line_feeds(text: String) -> String {
    if !text.contains('\r') {
        return text;
    }
    let mut normal = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some() {
            normal.push_str(line.trim_end_matches('\r'));
            normal.push('\n');
        } else {
            normal.push_str(line);
        }
    }
    normal
}
