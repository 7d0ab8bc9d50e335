//! One suite for the calls of Docker's API, on a real engine and on the double: a difference between them fails it.
//!
//! A case is a function over a [`setup::TestEngine`]; `contract!` makes two tests of it, one for each.

mod containers;
mod docker;
mod double;
mod endless;
mod events;
mod exec;
mod helper;
mod identity;
mod images;
mod lifecycle;
mod memberships;
mod networks;
mod output;
mod setup;
mod volumes;
