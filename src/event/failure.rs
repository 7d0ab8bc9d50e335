//! Why a sidecar is not ready, or ended: the facts (`dossier`), the likely cause (`cause`), and both as text (`report`).

pub mod cause;
pub mod dossier;
mod excerpt;
pub mod listeners;
pub mod older_data;
pub mod phase;
mod report;
pub mod sidecar_end;
pub mod until;
