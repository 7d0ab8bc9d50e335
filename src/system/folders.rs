//! The folders in which farrier keeps files of its own.

use std::path::PathBuf;

use etcetera::BaseStrategy;

/// The folder for what can be made again, and the one for what cannot; `None` if there is no home.
#[must_use]
pub fn own_folders() -> (Option<PathBuf>, Option<PathBuf>) {
    let folders = etcetera::base_strategy::Xdg::new().ok();
    let cache = folders.as_ref().map(|folders| folders.cache_dir().join("farrier"));
    let state = folders.as_ref().and_then(|folders| Some(folders.state_dir()?.join("farrier")));
    (cache, state)
}
