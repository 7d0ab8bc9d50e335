//! How far a sidecar is.

/// How far a sidecar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for the sidecars that it comes after.
    Held,
    /// Its container is being made or found.
    Starting,
    /// Its probes are asked.
    Waiting,
    /// Every probe said ready.
    Ready,
    /// It will not be ready.
    Failed,
}

impl Phase {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "not started",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}
