//! Ports of the engine's host that containers have.

use crate::definition::PublishedPort;

/// A port that a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// The container's id.
    pub container: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// The port.
    pub port: PublishedPort,
}
