//! What images run by default, kept between launches: an image's id is the digest of exactly that, so an entry
//! never grows old. What is recalled only spares a question; no container is recreated because of it.

use crate::engine::docker::api::Image;
use crate::system::cache_folder::CacheFolder;
use crate::system::digest::sha256_hex;

/// Changes with the form of the entries, and with what the engine's answers are converted to.
const FORMAT: u32 = 4;

/// The folder with what is known of images; without one, nothing is.
#[derive(Clone, Debug, Default)]
pub struct ImageCache {
    folder: Option<CacheFolder>,
    /// Tells the engine apart by its address: on engines of several architectures one id may name several images.
    engine: String,
}

impl ImageCache {
    pub(super) fn new(folder: Option<CacheFolder>, address: &str) -> Self {
        Self { folder, engine: sha256_hex(address)[..16].to_owned() }
    }

    fn entry(&self, id: &str) -> Option<(&CacheFolder, String)> {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = id.strip_prefix("sha256:").filter(|digest| digest.len() == 64 && plain(digest))?;
        let folder = self.folder.as_ref()?;
        Some((folder, format!("{digest}-{}.{FORMAT}.json", self.engine)))
    }

    /// The image of this id, as the engine once told it.
    #[must_use]
    pub fn recall(&self, id: &str) -> Option<Image> {
        let (folder, entry) = self.entry(id)?;
        folder.read(&entry).filter(|image: &Image| image.id == id)
    }

    /// Keeps what the engine told.
    pub fn keep(&self, image: &Image) {
        if let Some((folder, entry)) = self.entry(&image.id)
            && !folder.has(&entry)
        {
            folder.write(&entry, image);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::docker::api::{HealthTest, Process};
    use crate::engine::docker::caches::Caches;
    use crate::system::cache_folder::ENTRIES;

    fn open(cache: &Path, address: &str) -> ImageCache {
        Caches::open(Some(cache), address).images
    }

    fn image(digit: char) -> Image {
        let health = HealthTest { test: vec!["CMD".to_owned(), "test".to_owned()], ..HealthTest::default() };
        Image {
            id: format!("sha256:{}", digit.to_string().repeat(64)),
            process: Process { health: Some(health), ..Process::default() },
            volumes: vec!["/data".to_owned()],
            ..Image::default()
        }
    }

    #[test]
    fn what_was_kept_is_recalled_by_its_id_and_for_its_engine_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path(), "unix:///one.sock");
        assert_eq!(cache.recall(&image('a').id), None);
        cache.keep(&image('a'));
        assert_eq!(cache.recall(&image('a').id), Some(image('a')));
        assert_eq!(cache.recall(&image('b').id), None);
        assert_eq!(open(folder.path(), "unix:///other.sock").recall(&image('a').id), None);
        for id in ["", "sha256:", "image:1", "sha256:../../a"] {
            cache.keep(&Image { id: id.to_owned(), ..image('a') });
            assert_eq!(cache.recall(id), None, "{id}");
        }
    }

    #[test]
    fn an_entry_that_says_something_else_or_that_others_could_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path(), "unix:///one.sock");
        let (folder_of_images, entry) = cache.entry(&image('a').id).expect("a place");
        let path = folder_of_images.path(&entry);
        for text in ["", "{}", "null", &serde_json::to_string(&image('b')).expect("text")] {
            std::fs::write(&path, text).expect("an entry");
            assert_eq!(cache.recall(&image('a').id), None, "{text}");
        }
        std::fs::remove_file(&path).expect("it goes");
        cache.keep(&image('a'));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("a mode");
        assert_eq!(cache.recall(&image('a').id), None);
        let for_everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path().join("images"), for_everybody).expect("a mode");
        let cache = open(folder.path(), "unix:///one.sock");
        cache.keep(&image('c'));
        assert_eq!(cache.recall(&image('c').id), None, "a folder of everybody's is not used");
    }

    #[test]
    fn the_folder_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path(), "unix:///one.sock");
        for number in 0..ENTRIES {
            std::fs::write(folder.path().join(format!("images/{number}")), "").expect("an entry");
        }
        cache.keep(&image('a'));
        assert_eq!(std::fs::read_dir(folder.path().join("images")).expect("the folder").count(), 1);
        assert_eq!(cache.recall(&image('a').id), Some(image('a')));
    }
}
