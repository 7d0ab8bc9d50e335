//! What the command line says of itself: help, explanations, completions, manual pages.

mod completions;
mod documents;
mod events;
mod explain;
mod help;
