//! The progress of one exchange: the arrival of the request, and the frame of the response that waits for the client.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The progress of one exchange.
#[derive(Debug)]
pub(super) struct Progress {
    is_incomplete: AtomicBool,
    /// The number of polls for a frame of the response.
    polls: AtomicU64,
    /// True while the server has a frame for which the client has given no room.
    is_held: AtomicBool,
    has_stalled: AtomicBool,
}

impl Progress {
    /// `is_incomplete` is true for a request whose body has not arrived.
    pub(super) fn new(is_incomplete: bool) -> Self {
        Self {
            is_incomplete: AtomicBool::new(is_incomplete),
            polls: AtomicU64::new(0),
            is_held: AtomicBool::new(false),
            has_stalled: AtomicBool::new(false),
        }
    }

    /// Returns `true` while the request's body has not arrived.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete.load(Ordering::Relaxed)
    }

    /// Notes the end of the request's body. Returns `true` if it was still to come.
    pub(super) fn body_ends(&self) -> bool {
        self.is_incomplete.swap(false, Ordering::Relaxed)
    }

    /// Notes that the server polls for a frame: it has passed on the one before.
    pub(super) fn frame_polled(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the server has received a frame.
    pub(super) fn frame_held(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// Returns the number of the frame that waits for the client, or `None` if the response waits for its upstream.
    pub(super) fn held_frame(&self) -> Option<u64> {
        self.is_held.load(Ordering::Relaxed).then(|| self.polls.load(Ordering::Relaxed))
    }

    /// Notes that the client has given no room for a frame within the time limit.
    pub(super) fn set_stalled(&self) {
        self.has_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.has_stalled.load(Ordering::Relaxed)
    }
}
