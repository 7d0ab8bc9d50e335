//! How an engine fails.

/// Why an engine call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// Nothing answers at the address, or the connection broke.
    Unreachable,
    /// The socket may not be opened by this user.
    PermissionDenied,
    /// The object does not exist.
    NotFound,
    /// The name is taken, or the object is in another state.
    Conflict,
    /// The engine answered that it cannot do it.
    Refused,
    /// No answer in time.
    TimedOut,
}

impl EngineErrorKind {
    /// Whether the way to the engine failed, which says nothing about what was asked: it may do later.
    #[must_use]
    pub const fn is_of_the_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::PermissionDenied | Self::TimedOut)
    }
}

/// A failed engine call: the kind to decide on, the text to show.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What callers decide on.
    pub kind: EngineErrorKind,
    /// The engine's own words.
    pub message: String,
}

impl EngineError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What every call returns.
pub type EngineResult<T> = Result<T, EngineError>;
