//! Lines for the launcher's own trace (`farrier launch -v`): always available, bounded, never fatal.

use crate::imports::log as import;

/// A detail that helps whoever writes the probe.
pub fn debug(line: &str) {
    import::write(import::Level::Debug, line);
}

/// Something worth knowing.
pub fn info(line: &str) {
    import::write(import::Level::Info, line);
}

/// Something that is probably wrong.
pub fn warn(line: &str) {
    import::write(import::Level::Warn, line);
}
