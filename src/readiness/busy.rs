//! How long this thread works on something, without what it waits for.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs a future, and tells how much of a processor it took on the threads that polled it.
///
/// What the kernel does for a connection to this host is in it; what another process does is not.
pub async fn busy<F: Future>(future: F) -> (F::Output, Duration) {
    let mut future = pin!(future);
    let mut taken = Duration::ZERO;
    let output = poll_fn(|context| {
        let begun = processor_time();
        let polled = future.as_mut().poll(context);
        taken += processor_time().saturating_sub(begun);
        polled
    })
    .await;
    (output, taken)
}

/// Of this thread, since it began.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn waiting_is_not_work() {
        let begun = Instant::now();
        let ((), slept) = busy(tokio::time::sleep(Duration::from_millis(50))).await;
        assert!(slept < begun.elapsed() / 2, "{slept:?}");
        let ((), worked) = busy(async {
            let until = processor_time() + Duration::from_millis(5);
            while processor_time() < until {}
        })
        .await;
        assert!(worked >= Duration::from_millis(5), "{worked:?}");
    }
}
