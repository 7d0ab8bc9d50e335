//! Definitions of the workspace: what is asked about them, who may answer, what an answer is for, and where it is
//! kept.

mod support;

mod approval {
    mod asking;
    mod command;
    mod content;
    pub mod desk;
    mod disabling;
    mod scope;
    mod store;
    mod trust;
}
