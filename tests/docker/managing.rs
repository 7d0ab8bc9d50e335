//! What is there already: listed, read, removed; and whether this machine can launch.

mod doctor;
mod down;
mod logs;
mod ps;
