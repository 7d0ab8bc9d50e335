//! What a launch shows on a terminal, as the terminal shows it: the bytes go through a terminal's own rules.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

mod support;

#[path = "terminal/lines.rs"]
mod lines;
#[path = "terminal/recording.rs"]
mod recording;
#[path = "terminal/screen.rs"]
mod screen;
