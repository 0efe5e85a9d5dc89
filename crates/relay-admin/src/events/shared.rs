//! The ring of events, and the wake-up of its readers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::event::Content;
use super::ring::Ring;

/// The ring of events, and the wake-up of its readers.
#[derive(Debug)]
pub(super) struct Shared {
    /// Distinguishes the ids of this process from those of the process before.
    pub(super) epoch: u64,
    ring: Mutex<Ring>,
    /// Notified after each change of the ring.
    pub(super) changed: Notify,
    /// The number of readers.
    pub(super) readers: AtomicUsize,
}

impl Shared {
    pub(super) fn new(capacity: usize) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            epoch: u64::try_from(epoch).unwrap_or(u64::MAX),
            ring: Mutex::new(Ring::new(capacity)),
            changed: Notify::new(),
            readers: AtomicUsize::new(0),
        }
    }

    pub(super) fn push(&self, content: Content) {
        // The event that makes room is freed without the lock.
        let oldest = self.lock().push(content);
        drop(oldest);
        // A reader counts before it looks at the ring for the first time.
        if self.readers.load(Ordering::Relaxed) > 0 {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
