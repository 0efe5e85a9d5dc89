//! The times at which the frames of a body arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time at which the last frame of a stream arrived, by tokio's clock. Clones share it.
///
/// The body of the connection reads the clock once for each frame. The timeouts and statistics further out use that time.
#[derive(Debug, Clone)]
pub struct Arrivals(Arc<Times>);

#[derive(Debug)]
struct Times {
    start: Instant,
    /// The time of the last frame, in nanoseconds since `start`.
    last: AtomicU64,
}

impl Arrivals {
    /// Starts now, without a frame.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Times { start: Instant::now(), last: AtomicU64::new(0) }))
    }

    /// Notes that a frame has arrived at `now`.
    pub(crate) fn note(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.start).as_nanos();
        self.0.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The start of the stream.
    #[must_use]
    pub fn start(&self) -> std::time::Instant {
        self.0.start.into()
    }

    /// The time from the start to the last frame; zero before the first one. Reads no clock.
    #[must_use]
    pub fn last(&self) -> Duration {
        Duration::from_nanos(self.0.last.load(Ordering::Relaxed))
    }

    /// The time from the start to now.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}
