//! The ring of events, and the wake-up of its readers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// False if a reader can need no event at the moment: there is none, and none has been there for as many events as are kept.
    /// Changed with the lock.
    is_watched: AtomicBool,
}

impl Shared {
    pub(super) fn new(capacity: usize) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            epoch: u64::try_from(epoch).unwrap_or(u64::MAX),
            ring: Mutex::new(Ring::new(capacity)),
            changed: Notify::new(),
            readers: AtomicUsize::new(0),
            is_watched: AtomicBool::new(false),
        }
    }

    /// Adds an event, unless no reader can need it.
    pub(super) fn push(&self, content: impl FnOnce() -> Content) {
        if !self.is_watched.load(Ordering::Relaxed) {
            return;
        }
        let content = content();
        let mut ring = self.lock();
        let oldest = ring.push(content);
        // A reader counts before it looks at the ring for the first time.
        let has_reader = self.readers.load(Ordering::Relaxed) > 0;
        if has_reader {
            ring.watch();
        }
        let rest = (!has_reader && ring.is_unwatched()).then(|| {
            self.is_watched.store(false, Ordering::Relaxed);
            ring.clear()
        });
        drop(ring);
        // Events that are no longer needed are freed without the lock.
        drop((oldest, rest));
        if has_reader {
            self.changed.notify_waiters();
        }
    }

    /// Locks the ring for a reader that has been counted. Further events are added from then on.
    pub(super) fn watch(&self) -> MutexGuard<'_, Ring> {
        let mut ring = self.lock();
        ring.watch();
        self.is_watched.store(true, Ordering::Relaxed);
        ring
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
