//! Lines for the launcher's own trace (`farrier launch -vv`, `farrier probe check`): always available, bounded, never
//! fatal.

use crate::imports::log as import;
use crate::line::cut;

/// A detail that helps whoever writes the probe.
pub fn debug(line: &str) {
    import::write(import::Level::Debug, cut(line));
}

/// Something worth knowing.
pub fn info(line: &str) {
    import::write(import::Level::Info, cut(line));
}

/// Something that is probably wrong.
pub fn warn(line: &str) {
    import::write(import::Level::Warn, cut(line));
}
