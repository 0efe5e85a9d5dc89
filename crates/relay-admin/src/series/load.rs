//! The requests under way.

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of requests under way, and its peak in the step under way. It is kept on the data path, without a lock.
#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    peak: AtomicU32,
}

impl Load {
    /// Counts a request that begins.
    pub(super) fn begin(&self) {
        let in_flight = self.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        self.peak.fetch_max(in_flight, Ordering::AcqRel);
    }

    /// Counts a request that has ended. A subscriber that was added to a running relay has not seen its start.
    pub(super) fn end(&self) {
        let less = |count: u32| count.checked_sub(1);
        let _ = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// The number of requests under way.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// The largest number of requests under way in this step.
    pub(super) fn peak(&self) -> u32 {
        self.peak.load(Ordering::Acquire).max(self.in_flight())
    }

    /// Begins another step, and returns the peak of the step before.
    pub(super) fn restart(&self) -> u32 {
        let peak = self.peak.swap(0, Ordering::AcqRel);
        // A request that begins meanwhile counts before the swap, and then it is in flight, or after it.
        let in_flight = self.in_flight();
        self.peak.fetch_max(in_flight, Ordering::AcqRel);
        peak.max(in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_step_begins_with_the_requests_under_way() {
        let load = Load::default();
        (0..3).for_each(|_| load.begin());
        load.end();
        assert_eq!((load.in_flight(), load.peak()), (2, 3));
        assert_eq!((load.restart(), load.peak()), (3, 2));
        (0..3).for_each(|_| load.end());
        assert_eq!((load.in_flight(), load.restart()), (0, 2));
        assert_eq!(load.peak(), 0);
    }
}
