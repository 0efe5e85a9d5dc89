//! Additions to counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// The largest amount of one addition, in nanodollars 1,000,000 dollars: the largest cost of a row of the ledger. A counter takes
/// 18,000 of them.
pub(super) const LARGEST: u64 = 1_000_000_000_000_000;

/// Adds to a counter. A larger amount counts as [`LARGEST`]: an upstream may report any number, and a counter that wraps would
/// look like a restart.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount.min(LARGEST), Ordering::Relaxed);
    }
}
