//! A counter of work in tests: the bytes that are scanned, and the look-ups of edits. It does nothing in other builds.

/// Counts `steps`.
#[cfg(not(test))]
pub(crate) fn add(_: usize) {}

#[cfg(test)]
pub(crate) use counting::{add, count};

#[cfg(test)]
mod counting {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts `steps` of the current thread.
    pub(crate) fn add(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// Returns the number of steps that `work` takes.
    pub(crate) fn count(work: impl FnOnce()) -> usize {
        let before = STEPS.get();
        work();
        STEPS.get() - before
    }
}
