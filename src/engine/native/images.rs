//! The store of images: each layer unpacked in a folder that is named by the digest of its content, and what each image's
//! configuration says. It is this user's alone.
//!
//! ```text
//! images/layers/DIGEST/fs a layer's content, complete; renamed when it is on the disk
//! images/configs/DIGEST   an image's configuration
//! images/references/      which image each reference names (`references`)
//! images/downloads/       layers as registries send them, each locked by whoever downloads it (`downloads`)
//! images/unfinished/      layers that are being unpacked by whoever holds `images/lock`
//! images/use              locked (shared) by whoever makes an instance, and (alone) by whoever removes images
//! ```

mod downloads;
pub mod importing;
pub mod merging;
pub mod pulling;
mod references;
pub mod unpacking;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::isolation::Isolation;
use super::roles::Helper;
use crate::engine::image_file::ImageConfig;
use crate::system::private_files::{create_private_folder, private_folder, read_private, write_atomically};

/// The largest configuration that is read.
const MOST_BYTES: u64 = 4 << 20;
/// The content within a layer's folder, whose own mode and owner are farrier's.
const CONTENT: &str = "fs";

/// The store.
#[derive(Clone, Debug)]
pub struct ImageStore {
    root: PathBuf,
    helper: Helper,
}

/// What removing unused images gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images.
    pub images: usize,
    /// Layers.
    pub layers: usize,
}

impl ImageStore {
    /// The store at this path, which need not be there.
    pub const fn at(root: PathBuf, helper: Helper) -> Self {
        Self { root, helper }
    }

    /// Makes the store, or checks that nobody else can have written to it.
    pub fn make(&self) -> io::Result<()> {
        ["", "layers", "configs", "references", "downloads", "unfinished"]
            .iter()
            .try_for_each(|folder| private_folder(&self.folder(folder)))
    }

    /// One of its folders.
    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn layer(&self, id: &str) -> PathBuf {
        self.folder("layers").join(name_of(id))
    }

    /// The file of an image's configuration.
    fn configuration(&self, image: &str) -> PathBuf {
        self.folder("configs").join(name_of(image))
    }

    /// The folder of a layer's content.
    pub fn content(&self, id: &str) -> PathBuf {
        self.layer(id).join(CONTENT)
    }

    /// Whether there is such a layer.
    pub fn has_layer(&self, id: &str) -> bool {
        self.layer(id).is_dir()
    }

    /// A folder for a layer that is being unpacked.
    fn unfinished(&self, id: &str) -> PathBuf {
        self.folder("unfinished").join(name_of(id))
    }

    /// What the image's configuration says; `None` if the image is not in the store with all of its layers.
    pub fn config(&self, image: &str) -> Option<ImageConfig> {
        let bytes = read_private(&self.configuration(image), MOST_BYTES)?;
        let config: ImageConfig = serde_json::from_slice(&bytes).ok()?;
        config.rootfs.diff_ids.iter().all(|id| self.has_layer(id)).then_some(config)
    }

    /// Unpacks a layer, which is not complete yet.
    fn unpack(&self, id: &str, content: &mut dyn io::Read, isolation: Isolation) -> io::Result<()> {
        let folder = self.unfinished(id);
        self.helper.remove_tree(&folder)?;
        create_private_folder(&folder)?;
        let inside = folder.join(CONTENT);
        create_private_folder(&inside)?;
        self.helper.unpack(content, &inside, isolation)
    }

    /// Makes a layer complete that was unpacked.
    fn complete(&self, id: &str) -> io::Result<()> {
        std::fs::rename(self.unfinished(id), self.layer(id))
    }

    fn write_config(&self, image: &str, config: &ImageConfig) -> io::Result<()> {
        write_atomically(&self.configuration(image), &[&serde_json::to_vec(config)?])
    }

    /// The ids of all images.
    pub fn images(&self) -> Vec<String> {
        entries(&self.folder("configs"))
    }

    /// Keeps images from being removed for as long as the file is held.
    pub fn keep(&self) -> io::Result<File> {
        let file = self.lock_file("use")?;
        file.lock_shared()?;
        Ok(file)
    }

    /// Lets one process at a time add layers. What an earlier one left is removed.
    fn lock_adding(&self) -> io::Result<File> {
        let file = self.lock_file("lock")?;
        file.lock()?;
        self.remove_unfinished()?;
        Ok(file)
    }

    /// Removes layers that are not complete. Nobody else may be adding one.
    fn remove_unfinished(&self) -> io::Result<()> {
        let left = entries(&self.folder("unfinished"));
        left.iter().try_for_each(|left| self.helper.remove_tree(&self.unfinished(left)))
    }

    fn lock_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.root.join(name))
    }

    /// Removes the images that no instance is made of, and the layers that no image has any more. `used` names the images of
    /// all instances, once no new one can be made.
    pub fn prune(&self, used: impl FnOnce() -> BTreeSet<String>) -> io::Result<Pruned> {
        if !self.root.exists() {
            return Ok(Pruned::default());
        }
        self.make()?;
        let held = self.lock_file("use")?;
        held.lock()?;
        let adding = self.lock_adding()?;
        let used = used();
        let mut pruned = Pruned::default();
        let mut layers = BTreeSet::new();
        for image in self.images() {
            if used.contains(&image) {
                let config = self.config(&image);
                layers.extend(config.into_iter().flat_map(|config| config.rootfs.diff_ids));
            } else {
                // First: without its configuration an image is not there, whatever becomes of its layers.
                std::fs::remove_file(self.configuration(&image))?;
                pruned.images += 1;
            }
        }
        for layer in entries(&self.folder("layers")).into_iter().filter(|layer| !layers.contains(layer)) {
            // Renamed first: what is removed in part is no layer.
            let gone = self.unfinished(&layer);
            std::fs::rename(self.layer(&layer), &gone)?;
            self.helper.remove_tree(&gone)?;
            pruned.layers += 1;
        }
        self.forget_lost_references()?;
        downloads::remove_abandoned(&self.folder("downloads"))?;
        drop((adding, held));
        Ok(pruned)
    }
}

/// A digest as a file's name.
fn name_of(id: &str) -> String {
    id.replace(':', "-")
}

/// The digests that name the entries of a folder.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    let mut names: Vec<String> = entries
        .filter_map(name)
        .filter(|name| !name.starts_with('.'))
        .map(|name| name.replacen('-', ":", 1))
        .collect();
    names.sort_unstable();
    names
}
