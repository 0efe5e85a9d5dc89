//! The time that a request waits for the relay itself.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time that a request has waited for a free connection while the upstream was working. It is the relay's own queueing,
/// so a time limit for the upstream does not include it. Clones share the value.
#[derive(Debug, Default)]
pub struct QueueTime(
    // Empty until the value is shared or changed: most requests do not wait.
    OnceLock<Arc<Mutex<Waited>>>,
);

impl Clone for QueueTime {
    fn clone(&self) -> Self {
        Self(OnceLock::from(Arc::clone(self.shared())))
    }
}

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
        let Some(waited) = self.0.get().map(lock) else { return Duration::ZERO };
        waited.total + waited.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns `true` while the request waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.get().map(lock).is_some_and(|waited| waited.since.is_some())
    }

    /// Starts a wait, if none is in progress.
    pub(super) fn begin(&self) {
        lock(self.shared()).since.get_or_insert_with(Instant::now);
    }

    /// Ends the wait, if one is in progress.
    pub(super) fn end(&self) {
        let Some(mut waited) = self.0.get().map(lock) else { return };
        if let Some(since) = waited.since.take() {
            waited.total += since.elapsed();
        }
    }

    fn shared(&self) -> &Arc<Mutex<Waited>> {
        self.0.get_or_init(Arc::default)
    }
}

fn lock(waited: &Arc<Mutex<Waited>>) -> MutexGuard<'_, Waited> {
    waited.lock().unwrap_or_else(PoisonError::into_inner)
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
