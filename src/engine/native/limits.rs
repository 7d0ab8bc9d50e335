//! What a supervisor may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files a container's processes may have open: as Docker has it, if this user may have as many.
const OPEN_FILES: u64 = 1_048_576;

/// Lets this process, and what it starts, have as many files open as it may. Each forwarded connection has two.
pub fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
    if now.current.is_some_and(|current| current < most) {
        // With fewer it works, too.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum });
    }
}
