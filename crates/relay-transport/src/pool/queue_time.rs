//! The time that a request waits for the relay itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time that a request has waited for a free connection while the upstream was working. It is the relay's own queueing,
/// so a time limit for the upstream does not include it. Clones share the value.
#[derive(Debug, Clone, Default)]
pub struct QueueTime(Arc<Mutex<Waited>>);

#[derive(Debug, Default)]
struct Waited {
    total: Duration,
    /// The start of the present wait.
    since: Option<Instant>,
}

impl QueueTime {
    /// Returns the time of all waits so far, including the present one.
    #[must_use]
    pub fn total(&self) -> Duration {
        let waited = self.lock();
        waited.total + waited.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns `true` while the request waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.lock().since.is_some()
    }

    /// Starts a wait, if none is in progress.
    pub(super) fn begin(&self) {
        self.lock().since.get_or_insert_with(Instant::now);
    }

    /// Ends the wait, if one is in progress.
    pub(super) fn end(&self) {
        let mut waited = self.lock();
        if let Some(since) = waited.since.take() {
            waited.total += since.elapsed();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn several_waits_add_up_and_a_wait_begins_once() {
        let time = QueueTime::default();
        for _ in 0..2 {
            time.begin();
            tokio::time::advance(Duration::from_secs(3)).await;
            time.begin();
            assert!(time.is_waiting());
            time.end();
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        time.end();
        assert!(!time.is_waiting());
        assert_eq!(time.total(), Duration::from_secs(6));
    }
}
