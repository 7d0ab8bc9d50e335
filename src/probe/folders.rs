//! Folders of probes: `probes/` beside each layer's definitions, and how a name is looked up in them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::OFlags;

use super::component::{ComponentError, ComponentFile};
use super::component_reader::ComponentReader;
use crate::definition::working_trees::{Inside, WorkingTrees};
use crate::definition::{Layer, LayerDirectories};

/// Its name beside the definitions' folder.
const FOLDER: &str = "probes";
/// Entries of a folder that are looked at for names.
const MOST_NAMES: usize = 1_000;
/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;
/// What an attempt to leave the workspace is answered with; nothing is told of what lies there.
const ESCAPE: &str = "it leads out of the workspace";

/// The folders, from the lowest layer to the highest.
#[derive(Clone, Debug, Default)]
pub struct ProbeFolders {
    folders: Vec<ProbeFolder>,
    reader: Arc<ComponentReader>,
}

/// One folder of probes.
#[derive(Clone, Debug)]
pub struct ProbeFolder {
    /// The layer whose definitions may name what is in it.
    pub layer: Layer,
    /// As the user would type it.
    pub path: PathBuf,
    reach: Reach,
    reader: Arc<ComponentReader>,
}

/// How its files are opened.
#[derive(Clone, Debug)]
enum Reach {
    /// By their paths.
    Trusted,
    /// Beneath a folder that no symlink may leave.
    Beneath { root: Arc<Dir>, relative: PathBuf },
    /// Not at all: anyone may have written them.
    WritableByOthers,
}

impl ProbeFolders {
    /// The folders beside these layers' directories, whether or not they exist.
    #[must_use]
    pub fn of(directories: &LayerDirectories) -> Self {
        let trees = &directories.working_trees;
        let layers = [
            (Layer::User, &directories.user),
            (Layer::Org, &directories.org),
            (Layer::Repo, &directories.repo),
            (Layer::Workspace, &directories.workspace),
        ];
        let named = layers.into_iter().filter_map(|(layer, directory)| Some((layer, directory.as_ref()?)));
        let reader = Arc::new(ComponentReader::of(Arc::clone(&directories.budget)));
        let folder = |(layer, directory): (Layer, &PathBuf)| beside(layer, directory, trees, &reader);
        Self { folders: named.filter_map(folder).collect(), reader }
    }

    /// What reads components, wherever they lie.
    #[must_use]
    pub fn reader(&self) -> &ComponentReader {
        &self.reader
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ProbeFolder> {
        self.folders.iter()
    }

    /// Where a definition of this layer looks: its own layer's, then the user's.
    pub fn of_layer(&self, layer: Layer) -> impl Iterator<Item = &ProbeFolder> {
        let own = self.folders.iter().filter(move |folder| folder.layer == layer);
        own.chain(
            self.folders.iter().filter(move |folder| folder.layer == Layer::User && layer != Layer::User),
        )
    }
}

/// The folder of probes beside a layer's directory; none where nothing could stand there.
fn beside(
    given_as: Layer,
    directory: &Path,
    trees: &WorkingTrees,
    reader: &Arc<ComponentReader>,
) -> Option<ProbeFolder> {
    let folder = |layer, path, reach| ProbeFolder { layer, path, reach, reader: Arc::clone(reader) };
    let path = match directory.file_name() {
        Some(_) => directory.with_file_name(FOLDER),
        None => directory.canonicalize().ok()?.parent()?.join(FOLDER),
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().ok()?;
    // What a trusted layer's folder resolves to decides: one that leads into the workspace is not trusted.
    let resolved = path.canonicalize().unwrap_or_else(|_| parent.join(FOLDER));
    let open = |root: &Path| Dir::open_ambient_dir(root, ambient_authority()).ok().map(Arc::new);
    let inside =
        trees.locate(&parent).map(|inside| Inside { relative: inside.relative.join(FOLDER), ..inside });
    if let Some(Inside { root, relative }) = inside.or_else(|| trees.locate(&resolved)) {
        let reach = Reach::Beneath { root: open(&root)?, relative };
        return Some(folder(Layer::Workspace, path, reach));
    }
    if given_as == Layer::Workspace {
        // Named outside the workspace by an option: the folder that holds it is what symlinks may not leave.
        let reach = Reach::Beneath { root: open(&parent)?, relative: PathBuf::from(FOLDER) };
        return Some(folder(given_as, path, reach));
    }
    let open_to_all = |found: std::fs::Metadata| found.mode() & OTHERS_WRITE != 0;
    let reach = if std::fs::metadata(&path).is_ok_and(open_to_all) {
        Reach::WritableByOthers
    } else {
        Reach::Trusted
    };
    Some(folder(given_as, path, reach))
}

impl ProbeFolder {
    /// The file of a probe.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.wasm"))
    }

    /// Reads the probe of this name, or `None` if there is no such file. Bytes with another digest than the pin are not
    /// parsed.
    ///
    /// # Errors
    /// When it is there and cannot be used.
    pub fn read(&self, name: &str, pin: Option<&str>) -> Result<Option<Arc<ComponentFile>>, ComponentError> {
        match self.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => self.reader.read(opened, pin).map(Some),
        }
    }

    fn open(&self, name: &str) -> io::Result<File> {
        // Without O_NONBLOCK opening a FIFO waits for somebody to write to it.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        match &self.reach {
            Reach::Trusted => OpenOptions::new().read(true).custom_flags(flags).open(self.file(name)),
            Reach::Beneath { root, relative } => {
                use cap_std::fs::OpenOptionsExt as _;
                let mut options = cap_std::fs::OpenOptions::new();
                options.read(true).custom_flags(flags);
                let opened = root.open_with(relative.join(format!("{name}.wasm")), &options);
                opened.map(cap_std::fs::File::into_std).map_err(told)
            }
            // Whether it is there is still worth knowing.
            Reach::WritableByOthers => std::fs::metadata(self.file(name)).and_then(|_| {
                let message = format!("anyone on this machine can write to {}", self.path.display());
                Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
            }),
        }
    }

    /// The names of the probes in it, sorted; empty where there is no such folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let listed: io::Result<Vec<PathBuf>> = match &self.reach {
            Reach::Beneath { root, relative } => root.read_dir(relative).map_err(told).and_then(|entries| {
                entries.take(MOST_NAMES).map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect()
            }),
            _ => std::fs::read_dir(&self.path).and_then(|entries| {
                entries.take(MOST_NAMES).map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect()
            }),
        };
        let files = match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let components = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "wasm"));
        let mut names: Vec<String> =
            components.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
        names.retain(|name| is_name(name));
        names.sort();
        Ok(names)
    }
}

/// Whether a definition could name a probe so; everything else is a path.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with(['.', '-'])
}

fn told(error: io::Error) -> io::Error {
    // cap-std's own refusal; the operating system's carry a number.
    let escapes = error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
    if escapes { io::Error::new(error.kind(), ESCAPE) } else { error }
}
