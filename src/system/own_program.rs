//! The program of this process, to be executed again in another role.

use std::path::PathBuf;

/// On Linux: also after its file was replaced or removed, and behind another root.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// As exactly as the system tells it.
#[must_use]
pub fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from(OWN_PROGRAM);
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("farrier"))
}
