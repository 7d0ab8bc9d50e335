//! A container: its root, its processes, and what they may do. The supervisor makes its namespaces; process 1 mounts the
//! root and stays, so that nothing outlives it; its first child becomes the image's program.

pub mod confinement;
pub mod entering;
pub mod filesystem;
pub mod mounting;
pub mod mounts;
pub mod process_one;
pub mod program;
pub mod seccomp;
pub mod specification;
pub mod surroundings;
pub mod user;
