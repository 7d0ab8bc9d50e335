//! What the integration tests share: `mod support;` in each test binary. Linux only.
//!
//! A test that needs an engine begins with
//! `let Some(scene) = Scene::with_docker() else { return };`.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test binary uses another part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "where a helper fails, its test has failed"
)]

pub mod certificates;
pub mod cleanup;
pub mod closed_port;
pub mod console;
pub mod docker;
pub mod engine;
pub mod events;
pub mod fixture;
pub mod guest;
pub mod host_programs;
pub mod http;
pub mod launching;
pub mod ports;
pub mod proxy;
pub mod pypi;
pub mod python_server;
pub mod registry;
pub mod run;
pub mod running;
pub mod scene;
pub mod servers;
pub mod skipping;
pub mod snapshot;
pub mod swarm;
pub mod tables;
pub mod toolchains;

pub use engine::{
    PATIENT, containers_named, docker, docker_available, fixture_image, fixture_image_name, fixture_program,
    wait_until,
};
pub use events::Events;
pub use fixture::Image;
pub use ports::free_port;
pub use proxy::{Proxy, Trouble};
pub use run::Run;
pub use running::{Outcome, Running, Signal};
pub use scene::{Layer, Scene};
pub(crate) use snapshot::{assert_output, snapshot_settings};
