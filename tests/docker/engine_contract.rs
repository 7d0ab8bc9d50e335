//! What every engine promises to the core. A further engine passes this suite as it is: it adds a [`setup::Ground`] and a
//! line to `contract!`.

mod decisions;
mod grounds;
mod managing;
mod names;
mod restarts;
mod runs;
mod setup;
