//! What farrier needs of the operating system: threads, signals, limits, process groups, private files, locks. Nothing
//! here knows of sidecars.

pub mod authorities;
pub mod blocking;
pub mod bounded_file;
pub mod cache_folder;
pub mod clock;
pub mod complete_file;
pub mod digest;
pub mod folders;
pub mod ignored_signals;
pub mod job_control;
pub mod leases;
pub mod listeners;
pub mod lock;
pub mod own_program;
pub mod packed;
pub mod private_files;
pub mod process_limits;
pub mod session_leases;
pub mod timer;
pub mod writers;
