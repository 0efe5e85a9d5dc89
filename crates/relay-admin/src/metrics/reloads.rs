//! Counts of the reloads of the configuration.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The reloads of a program, for [`MetricsSettings::with_reloads`](super::MetricsSettings::with_reloads). Clones share the counts.
#[derive(Debug, Clone)]
pub struct Reloads(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// By the place of the result in [`ReloadResult::ALL`].
    results: [AtomicU64; 3],
    is_rejected: AtomicBool,
    succeeded_at: Mutex<SystemTime>,
}

/// The result of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// A configuration has come into use.
    Applied,
    /// The configuration was read and has no change.
    Unchanged,
    /// The configuration cannot be used. The one before stays in use.
    Rejected,
}

impl ReloadResult {
    pub(super) const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// The value of the label `result`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

impl Reloads {
    /// Creates the counts of a program that has read its configuration now.
    #[must_use]
    pub fn new() -> Self {
        let succeeded_at = Mutex::new(SystemTime::now());
        Self(Arc::new(Counts {
            results: Default::default(),
            is_rejected: AtomicBool::new(false),
            succeeded_at,
        }))
    }

    /// Counts a reload that has ended now.
    pub fn count(&self, result: ReloadResult) {
        let Self(counts) = self;
        counts.results[result as usize].fetch_add(1, Ordering::Relaxed);
        counts.is_rejected.store(result == ReloadResult::Rejected, Ordering::Relaxed);
        if result != ReloadResult::Rejected {
            *counts.succeeded_at.lock().unwrap_or_else(PoisonError::into_inner) = SystemTime::now();
        }
    }

    /// The number of reloads with `result`.
    pub(super) fn of(&self, result: ReloadResult) -> u64 {
        self.0.results[result as usize].load(Ordering::Relaxed)
    }

    /// Returns `true` if the last reload has succeeded, or if there was none.
    pub(super) fn has_succeeded(&self) -> bool {
        !self.0.is_rejected.load(Ordering::Relaxed)
    }

    /// The time of the last success, in seconds since the Unix epoch. The start of the program is the first one.
    pub(super) fn succeeded_at(&self) -> f64 {
        let at = *self.0.succeeded_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

impl Default for Reloads {
    fn default() -> Self {
        Self::new()
    }
}
