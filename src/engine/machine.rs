//! What tells this machine from others that use the same engine.

use crate::plan::sidecar::folder_identity;
use crate::system::digest::sha256_hex;
use crate::system::lock::folder;

/// What tells this machine from all others: those who share its lock folder see each other's marks there.
pub(super) fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let locks = folder_identity(folder()).unwrap_or_default();
    sha256_hex(format!("{}\n{locks}", boot.trim()).as_bytes())[..16].to_owned()
}
