//! A timer for waits below a millisecond. tokio's rounds up to whole ones.

use std::time::Duration;

/// A timer that is used again and again. It holds a file of the process where the system has such timers, as Linux does;
/// elsewhere, and where no file is left, it is tokio's.
#[derive(Debug, Default)]
pub struct Timer {
    #[cfg(target_os = "linux")]
    file: Option<linux::TimerFile>,
}

impl Timer {
    /// A timer as exact as the system's.
    #[must_use]
    pub fn exact() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            file: linux::TimerFile::open()
                .inspect_err(|error| tracing::debug!("waits are rounded to milliseconds: {error}"))
                .ok(),
        }
    }

    /// Waits so long, at least.
    pub async fn sleep(&self, duration: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(file) = &self.file
            && file.sleep(duration).await.is_ok()
        {
            return;
        }
        tokio::time::sleep(duration).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer that the kernel keeps, and that can be read once its time has come.
    #[derive(Debug)]
    pub struct TimerFile(AsyncFd<OwnedFd>);

    impl TimerFile {
        #[expect(
            deprecated,
            reason = "unsound for a type whose descriptor may change or close; its successor is unsafe code"
        )]
        pub fn open() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(AsyncFd::with_interest(file, Interest::READABLE)?))
        }

        pub async fn sleep(&self, duration: Duration) -> io::Result<()> {
            let until = Instant::now() + duration;
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            // A time of zero would stop it.
            let value = duration.max(Duration::from_nanos(1));
            let value = Timespec::try_from(value).map_err(io::Error::other)?;
            timerfd_settime(
                self.0.get_ref(),
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: none, it_value: value },
            )?;
            loop {
                // Setting it again takes back that its time had come, so that it need not be read. What was told before
                // that is of a wait that was given up.
                self.0.readable().await?.clear_ready();
                if Instant::now() >= until {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_waits_each_time_and_tells_no_earlier() {
        for timer in [Timer::exact(), Timer::default()] {
            for wanted in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(20)] {
                let begun = Instant::now();
                timer.sleep(wanted).await;
                assert!(begun.elapsed() >= wanted, "{timer:?} after {:?}", begun.elapsed());
            }
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_end_the_next() {
        let timer = Timer::exact();
        let given_up = timer.sleep(Duration::from_millis(1));
        assert!(given_up.now_or_never().is_none());
        // Its time comes meanwhile.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = Instant::now();
        timer.sleep(Duration::from_millis(50)).await;
        assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
    }
}
