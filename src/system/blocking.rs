//! Work that would hold up everything else.

use std::future::Future;
use std::{io, thread};

use crate::system::process_limits;

/// Runs work that would hold up everything else on a thread of its own, which begins at once. Work that is given up runs
/// on until the program ends.
///
/// Unlike tokio's own threads, one that the system does not give is an error and no panic.
///
/// # Errors
/// When the system gives no thread; the reason names the limit.
pub fn blocking<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
    name: &str,
    work: W,
) -> impl Future<Output = io::Result<T>> + Send + use<T, W> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        // Whoever gave up does not want it any more.
        let _ = sender.send(work());
    });
    let started = started.map(drop).map_err(|error| process_limits::no_thread(&error));
    async move {
        started?;
        receiver.await.map_err(|_| io::Error::other("it ended without a result"))
    }
}
