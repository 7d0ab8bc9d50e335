//! Images that lie in files beside a definition: which image it is, what its configuration says, and the content of its
//! layers. What is read is checked against the digests that name it, so that an image's id stands for all of it.

mod archive;
mod config;
mod decompression;
mod digest;
mod layout;
pub mod manifest;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use self::archive::Archive;
pub use self::config::{ImageConfig, ProcessConfig, own_architecture};
pub use self::digest::{Digesting, hex_digits, of_bytes as digest_of};
use self::layout::Layout;
use crate::definition::{Definition, ImageFile, ImageFormat};
use crate::report::error::{Code, Problem};
use crate::report::shell::command_line;

/// The largest manifest, index or configuration that is read.
pub const MOST_BYTES: u64 = 4 << 20;
/// The most layers that an image may have: as many as an overlay takes, with room.
const MOST_LAYERS: usize = 400;

/// An image in a file.
pub struct FileImage<'a> {
    definition: &'a Definition,
    file: ImageFile<'a>,
    source: Source,
    /// The digest of its configuration.
    pub id: String,
}

/// Where its parts are.
enum Source {
    Layout(Layout),
    Archive(Archive),
}

/// A file that is read from its beginning on.
type Open<'a> = dyn Fn(&Path) -> io::Result<File> + 'a;

/// Takes layers in.
pub trait LayerSink {
    /// Takes in the uncompressed content of the layer with this digest, which is not checked yet.
    ///
    /// # Errors
    /// If it cannot be taken in.
    fn take(&mut self, id: &str, content: &mut dyn Read) -> io::Result<()>;
    /// Keeps the layer that was taken in last: its content is what its digest says.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn keep(&mut self, id: &str) -> io::Result<()>;
}

impl<'a> FileImage<'a> {
    /// Finds the image that a definition's file holds; `None` if the definition names no such file.
    ///
    /// # Errors
    /// If the file is not there, or holds no such image.
    pub fn find(definition: &'a Definition) -> Option<Result<Self, Problem>> {
        let file = definition.image_file()?;
        if let Some(problem) = definition.image_outside(&file) {
            return Some(Err(problem));
        }
        let open = |part: &Path| definition.open_image(&file, part);
        let found = match file.format {
            ImageFormat::OciLayout => Layout::read(&open, file.name).map(Source::Layout),
            ImageFormat::DockerArchive => Archive::read(&open, file.name).map(Source::Archive),
        };
        let found = found.map(|source| {
            let id = match &source {
                Source::Layout(layout) => layout.id().to_owned(),
                Source::Archive(archive) => archive.id().to_owned(),
            };
            Self { definition, file: file.clone(), source, id }
        });
        Some(found.map_err(|error| problem(definition, &error)))
    }

    /// What its configuration says.
    ///
    /// # Errors
    /// If it is damaged, or for another machine.
    pub fn config(&self) -> Result<ImageConfig, Problem> {
        let bytes = match &self.source {
            Source::Layout(layout) => layout.config(&|part| self.open(part)),
            Source::Archive(archive) => Ok(archive.config().to_vec()),
        };
        let config = bytes.and_then(|bytes| ImageConfig::of_image(&bytes, self.layer_count()));
        let config = config.map_err(|error| problem(self.definition, &error))?;
        if let Some(other) = config.other_architecture() {
            let message = format!("image `{}` is built for {other}", self.name());
            return Err(Problem::error(Code::WrongArchitecture, message)
                .of(&self.definition.name)
                .at(self.definition.place("image"))
                .hint(format!("Build it for {}.", own_architecture())));
        }
        Ok(config)
    }

    /// Reads the layers that are wanted, each once, and checks their digests. They come in no certain order.
    ///
    /// # Errors
    /// If one is damaged or missing, or cannot be taken in.
    pub fn read_layers(
        &self,
        config: &ImageConfig,
        wanted: &dyn Fn(&str) -> bool,
        sink: &mut dyn LayerSink,
    ) -> Result<(), Problem> {
        let ids = &config.rootfs.diff_ids;
        let read = match &self.source {
            Source::Layout(layout) => layout.layers(&|part| self.open(part), ids, wanted, sink),
            Source::Archive(archive) => archive.layers(&|part| self.open(part), ids, wanted, sink),
        };
        read.map_err(|error| problem(self.definition, &error))
    }

    fn layer_count(&self) -> usize {
        match &self.source {
            Source::Layout(layout) => layout.layer_count(),
            Source::Archive(archive) => archive.layer_count(),
        }
    }

    fn name(&self) -> &str {
        self.definition.image.as_deref().unwrap_or_default()
    }

    fn open(&self, part: &Path) -> io::Result<File> {
        self.definition.open_image(&self.file, part)
    }
}

/// What is read is not what it should be.
fn damaged(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Reads a small file whole.
fn read_small(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(damaged(format!("a manifest is larger than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Lets a layer be taken in, decompressed, and checks that it is the one with this digest.
///
/// # Errors
/// If it is damaged, or cannot be taken in.
pub fn take_layer(id: &str, packed: impl Read, sink: &mut dyn LayerSink) -> io::Result<()> {
    let mut content = Digesting::of(decompression::decompressed(packed)?);
    sink.take(id, &mut content)?;
    // What stands behind the archive's end belongs to the digest, too.
    io::copy(&mut content, &mut io::sink())?;
    let found = content.digest();
    if found == id {
        return sink.keep(id);
    }
    Err(damaged(format!("a layer is damaged: its digest is {found}, and its configuration names {id}")))
}

/// Why an image cannot be used.
fn problem(definition: &Definition, error: &io::Error) -> Problem {
    let image = definition.image.as_deref().unwrap_or_default();
    let (code, message, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            Code::ImageUnavailable,
            format!("image `{image}` does not exist: {error}"),
            "Check the path, which starts at the definition's folder, and build the image first.".to_owned(),
        ),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => (
            Code::ImageInvalid,
            format!("image `{image}` cannot be used: {error}"),
            "Write it again, for example with `skopeo copy docker-daemon:NAME:TAG oci:FOLDER`.".to_owned(),
        ),
        io::ErrorKind::StorageFull => (
            Code::DiskFull,
            format!("there is no space left for the image `{image}`: {error}"),
            "Remove images that nothing uses with `farrier engine prune`.".to_owned(),
        ),
        _ => (
            Code::ImageUnavailable,
            format!("image `{image}` cannot be read: {error}"),
            format!(
                "See `{}`.",
                command_line(&["farrier", "explain"], &[Code::ImageUnavailable.as_str()], &[])
            ),
        ),
    };
    Problem::error(code, message).of(&definition.name).at(definition.place("image")).hint(hint)
}
