//! What people and scripts see: one sink a form. Standard output is never used by a launch.

pub mod event_file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod json;
pub mod live;
pub mod plain;
pub mod timings;
pub mod timings_file;
