//! What an untrusted component can try against its host: each attempt ends in one line that names it, in time, at a
//! bounded cost of memory, and the next probe is unharmed. `SECURITY.md` has the table of promises.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "where a helper fails, its test has failed; the numbers are for SECURITY.md"
)]

mod support;

#[path = "hostile_guests/attempt.rs"]
mod attempt;
#[path = "hostile_guests/compilation.rs"]
mod compilation;
#[path = "hostile_guests/connections.rs"]
mod connections;
#[path = "hostile_guests/container.rs"]
mod container;
#[path = "hostile_guests/features.rs"]
mod features;
#[path = "hostile_guests/space.rs"]
mod space;
#[path = "hostile_guests/swaps.rs"]
mod swaps;
#[path = "hostile_guests/system.rs"]
mod system;
#[path = "hostile_guests/time.rs"]
mod time;
#[path = "hostile_guests/values.rs"]
mod values;

/// One test, so that nothing else moves the memory that is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_ends_in_its_verdict_in_time_and_within_its_memory() {
    let mut attempts = time::attempts().await;
    attempts.extend(space::attempts());
    attempts.extend(values::attempts());
    attempts.extend(connections::attempts().await);
    attempts.extend(container::attempts());
    attempts.extend(system::attempts());
    attempts.extend(features::attempts());
    attempts.extend(compilation::attempts());
    attempt::carry_out(attempts).await;
}
