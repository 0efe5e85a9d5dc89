//! The knowledge about a quota that is readable without its lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The knowledge about a quota that is readable without its lock. It is written under the lock only.
///
/// A request reads it once for each of many keys, most of which have no limits or are known to be at their limit.
#[derive(Debug)]
pub(super) struct Hint {
    created: Instant,
    has_limit: AtomicBool,
    has_pause: AtomicBool,
    /// The time before which no request is permitted, in nanoseconds after `created`; 0 if it is not known.
    not_before: AtomicU64,
}

impl Hint {
    pub(super) fn new(now: Instant) -> Self {
        let (has_limit, has_pause) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { created: now, has_limit, has_pause, not_before: AtomicU64::new(0) }
    }

    /// Records a change of the quota, after which it is not known when the next request is permitted.
    pub(super) fn update(&self, has_limit: bool, has_pause: bool) {
        self.not_before.store(0, Ordering::Release);
        self.has_limit.store(has_limit, Ordering::Release);
        self.has_pause.store(has_pause, Ordering::Release);
    }

    /// Records that no request is permitted before `time`, as long as the quota does not change.
    pub(super) fn set_not_before(&self, time: Instant) {
        let after = time.saturating_duration_since(self.created);
        self.not_before.store(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Returns `false` if the quota permits every request.
    pub(super) fn has_limit(&self) -> bool {
        self.has_limit.load(Ordering::Acquire)
    }

    /// Returns `false` if neither a cooldown nor a rejection is running.
    pub(super) fn has_pause(&self) -> bool {
        self.has_pause.load(Ordering::Acquire)
    }

    /// Returns `true` if `now` is before the time at which the next request is permitted.
    pub(super) fn is_before(&self, now: Instant) -> bool {
        let not_before = Duration::from_nanos(self.not_before.load(Ordering::Acquire));
        !not_before.is_zero() && now.saturating_duration_since(self.created) < not_before
    }
}
