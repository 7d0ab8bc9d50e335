//! Why a sidecar is not ready, or ended: the facts (`evidence`), the likely cause (`cause`), and both as text (`text`).

pub mod cause;
pub mod evidence;
mod excerpt;
pub mod listeners;
pub mod older_data;
pub mod phase;
pub mod sidecar_end;
mod text;
pub mod until;
