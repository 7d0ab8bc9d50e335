//! Definitions: the files that declare sidecars, from their folders to plain checked data.
//!
//! `layers` finds, reads and merges the files; `toml` and `yaml` turn their text into a `node` tree; `decode`
//! turns a tree into `model`; `rules` looks across definitions; `refusals` names what is valid but not started.
//! Nothing here needs an engine, and every stage reports all problems that it finds.

pub mod artifact_reference;
mod beside;
pub(crate) mod budget;
mod confined;
mod declared;
mod decode;
mod dialect;
mod dotenv;
pub mod draft;
mod duration;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod grants;
mod image;
mod image_file;
pub mod import;
mod interpolation;
mod keys;
mod known_images;
pub(crate) mod layers;
pub mod model;
mod names;
pub(crate) mod node;
pub mod order;
mod program;
mod read;
pub(crate) mod reader;
mod refusals;
mod rules;
pub mod scenario;
mod schema;
mod signal;
mod size;
mod template;
pub(crate) mod toml;
mod variables;
mod wellknown;
pub mod working_trees;
mod yaml;

pub use artifact_reference::{ArtifactReference, FORM as ARTIFACT_FORM};
pub use budget::{Exceeded, ReadingBudget};
pub use confined::ConfinedPaths;
pub use declared::Declared;
pub use decode::{BUILT_IN, DIALLING};
pub use dialect::in_the_files_language;
pub use duration::parse as parse_duration;
pub use files::{COPIES, ReadFile};
pub use image::{Repository, check as check_image, familiar as familiar_image, qualified as qualified_image};
pub use image_file::{ImageFile, ImageFormat};
pub use keys::{
    ConfinedNetwork, ContainerKeys, EngineName, JobRuns, KEYS, Key, NamedNode, Protocol, PublishedPort, Rank,
    RestartPolicy, Settings, ValueText, is_engine_socket, linux_capability, named_node, names_one_node,
    salted, whole_seconds,
};
pub use layers::{LayerDirectories, LayerReport, Loaded, load, of_source};
pub use model::*;
pub use names::{container_token, is_sidecar_host, variable_token};
pub use program::{FoundProgram, program_digest};
pub use read::{Access, is_escape, outside_workspace};
pub use reader::nearest;
pub use refusals::refusals;
pub use rules::taken_variables;
pub use schema::json_schema;
pub use signal::canonical as canonical_signal;
pub use size::parse as parse_size;
pub use template::Template;
