//! One suite for both engines, the real one and the one in memory: a difference between them fails it.
//!
//! A case is a function over a [`setup::Stage`]; `contract!` makes two tests of it, one for
//! each engine.

mod containers;
mod docker;
mod endless;
mod events;
mod exec;
mod helper;
mod identity;
mod images;
mod lifecycle;
mod memberships;
mod memory;
mod networks;
mod output;
mod setup;
mod volumes;
