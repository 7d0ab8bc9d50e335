//! What a condition waits for, in words that follow "until".

/// The words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// For the person at the terminal.
    pub told: String,
    /// For files, which are kept and passed on: without a command's arguments and a request's path, which may hold
    /// passwords and tokens.
    pub recorded: String,
}

impl From<String> for Until {
    fn from(words: String) -> Self {
        Self { recorded: words.clone(), told: words }
    }
}
