//! Definitions of the workspace: what is asked about them, who may answer, what an answer is for, and where it is
//! kept.

mod asking;
mod command;
mod content;
mod denying;
mod disabling;
mod lock;
mod scope;
mod setup;
mod store;
mod trust;
mod worktrees;
