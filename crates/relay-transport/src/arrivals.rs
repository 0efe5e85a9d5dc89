//! The times at which the frames of a body arrive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event_gaps::EventGaps;

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
    /// The events in the frames. Here, an event takes as few lines of the cache as possible.
    events: Mutex<Events>,
}

/// The events of a stream, for the [`EventClock`](crate::EventClock).
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The time of the last event, from the start of the arrivals. Before the first one, the time from which its limit counts.
    pub(crate) last: Duration,
    /// True after the first event.
    pub(crate) has_begun: bool,
    /// True if the last frame ended inside an event and completed none.
    pub(crate) is_incomplete: bool,
    /// The gaps between the events.
    pub(crate) gaps: EventGaps,
}

impl Arrivals {
    /// Starts now, without a frame.
    pub(crate) fn new() -> Self {
        let events = Mutex::default();
        Self(Arc::new(Times { start: Instant::now(), last: AtomicU64::new(0), events }))
    }

    /// Notes that a frame has arrived at `now`.
    pub(crate) fn note(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.start).as_nanos();
        self.0.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn events(&self) -> MutexGuard<'_, Events> {
        // Every state is valid, also after a panic in another thread.
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
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
