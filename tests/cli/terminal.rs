//! What a launch shows on a terminal, as the terminal shows it: the bytes go through a terminal's own rules.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod lines;
mod recording;
mod screen;
