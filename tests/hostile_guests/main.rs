//! What an untrusted component can try against its host: each attempt ends in one line that names it, in time, at a
//! bounded cost of memory, and the next probe is unharmed. `SECURITY.md` has the table of promises.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "where a helper fails, its test has failed; the numbers are for SECURITY.md"
)]

#[path = "../support/mod.rs"]
mod support;

mod attempt;
mod compilation;
mod connections;
mod container;
mod features;
mod handshakes;
mod space;
mod swaps;
mod system;
mod time;
mod values;

/// One test, so that nothing else moves the memory that is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_ends_in_its_verdict_in_time_and_within_its_memory() {
    let mut attempts = time::attempts().await;
    attempts.extend(space::attempts());
    attempts.extend(values::attempts());
    attempts.extend(connections::attempts().await);
    attempts.extend(handshakes::attempts().await);
    attempts.extend(container::attempts());
    attempts.extend(system::attempts());
    attempts.extend(features::attempts());
    attempts.extend(compilation::attempts());
    attempt::carry_out(attempts).await;
}
