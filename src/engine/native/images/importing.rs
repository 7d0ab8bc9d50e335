//! Takes an image from its file into the store, as far as it is not there.

use std::io::{self, Read};

use super::ImageStore;
use crate::definition::Definition;
use crate::engine::image_file::{FileImage, ImageConfig, LayerSink};
use crate::engine::native::isolation::Isolation;
use crate::report::error::{Code, Problem};

/// An image of the store.
pub struct Imported {
    /// Its id.
    pub id: String,
    /// What its configuration says.
    pub config: ImageConfig,
}

/// Makes sure that the image of a definition's file is in the store; `None` if the definition names no file. Blocks.
///
/// # Errors
/// If the image is not there or damaged, or the store cannot take it.
pub fn import(
    store: &ImageStore,
    definition: &Definition,
    isolation: Isolation,
) -> Option<Result<Imported, Problem>> {
    Some(FileImage::find(definition)?.and_then(|image| {
        if let Some(config) = store.config(&image.id) {
            return Ok(Imported { id: image.id, config });
        }
        let config = image.config()?;
        let unusable = |error: io::Error| unusable(definition, &error);
        store.make().map_err(unusable)?;
        let adding = store.lock_adding().map_err(unusable)?;
        let read = image.read_layers(&config, &|id| !store.has_layer(id), &mut Adding { store, isolation });
        if let Err(problem) = read {
            // What cannot be used must not fill the disk. The next one who adds removes it otherwise.
            let _ = store.remove_unfinished();
            return Err(problem);
        }
        store.write_config(&image.id, &config).map_err(unusable)?;
        drop(adding);
        Ok(Imported { id: image.id, config })
    }))
}

/// What to tell if the store cannot take an image.
pub fn unusable(definition: &Definition, error: &io::Error) -> Problem {
    let message = format!("the store of images cannot be used: {error}");
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if is_full { Code::DiskFull } else { Code::StateUnusable };
    Problem::error(code, message)
        .of(&definition.name)
        .at(definition.place("image"))
        .hint("Check who owns the folder of farrier's state, and that its disk is not full.")
        .hint("Remove images that nothing uses with `farrier engine prune`.")
}

/// Adds layers to the store.
pub(super) struct Adding<'a> {
    pub store: &'a ImageStore,
    pub isolation: Isolation,
}

impl LayerSink for Adding<'_> {
    fn take(&mut self, id: &str, content: &mut dyn Read) -> io::Result<()> {
        self.store.unpack(id, content, self.isolation)
    }

    fn keep(&mut self, id: &str) -> io::Result<()> {
        self.store.complete(id)
    }
}
