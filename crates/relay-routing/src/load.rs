//! How much something is doing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Requests under way, their answers included, and whose turn came last.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    /// The number of the last request; requests are numbered by whoever deals them.
    last: AtomicU64,
}

impl Load {
    /// A request begins.
    pub(crate) fn enter(&self, number: u64) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.last.store(number, Ordering::Relaxed);
    }

    /// A request is over.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The number of the last request; 0 if there was none.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }
}
