//! The load of a provider or a key.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The number of running requests, and the last one's number.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    last_attempt: AtomicU64,
}

impl Load {
    /// Records the start of the attempt with this number.
    pub(crate) fn begin(&self, attempt: u64) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.last_attempt.store(attempt, Ordering::Relaxed);
    }

    /// Records the end of an attempt and its answer.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of running attempts. An attempt runs until its answer has ended.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the number of the last attempt, or 0 if there was none. The planner numbers attempts in
    /// ascending order.
    pub(crate) fn last_attempt(&self) -> u64 {
        self.last_attempt.load(Ordering::Relaxed)
    }
}
