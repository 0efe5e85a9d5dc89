//! The progress of one exchange: the arrival of the request, and the bytes of the response that wait for the client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

/// The progress of one exchange. The pieces of HTTP/1.1 are counted by their connection.
#[derive(Debug)]
pub(super) struct Progress {
    is_incomplete: AtomicBool,
    /// `None` over HTTP/1.1, where the socket limits the time of each write.
    held: Option<Mutex<Held>>,
    has_stalled: AtomicBool,
}

/// The pieces of the response that the server has received and the client has not accepted.
#[derive(Debug)]
struct Held {
    pieces: usize,
    /// The time of the last progress: a piece after a pause, or bytes that the client has accepted.
    since: Instant,
    /// The task that waits until no piece is left.
    waiting: Option<Waker>,
}

impl Progress {
    /// `is_incomplete` is true for a request whose body has not arrived.
    pub(super) fn new(is_incomplete: bool, is_http2: bool) -> Self {
        let held = || Mutex::new(Held { pieces: 0, since: Instant::now(), waiting: None });
        Self {
            is_incomplete: AtomicBool::new(is_incomplete),
            held: is_http2.then(held),
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

    /// Notes that the server has received a piece.
    pub(super) fn piece_held(&self) {
        let Some(mut held) = self.lock() else { return };
        if held.pieces == 0 {
            held.since = Instant::now();
        }
        held.pieces += 1;
    }

    /// Notes that the client has accepted a part of a piece.
    pub(super) fn part_accepted(&self) {
        if let Some(mut held) = self.lock() {
            held.since = Instant::now();
        }
    }

    /// Notes that the client has accepted a whole piece, or that the server has dropped it.
    pub(super) fn piece_released(&self) {
        let Some(mut held) = self.lock() else { return };
        held.pieces = held.pieces.saturating_sub(1);
        held.since = Instant::now();
        let waiting = if held.pieces == 0 { held.waiting.take() } else { None };
        drop(held);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Returns `true` if no piece waits for the client. Over HTTP/1.1 it always does.
    pub(super) fn is_released(&self) -> bool {
        self.lock().is_none_or(|held| held.pieces == 0)
    }

    /// Waits until no piece waits for the client.
    pub(super) fn poll_released(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.lock() {
            Some(mut held) if held.pieces > 0 => {
                held.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Returns the time since which the client has accepted nothing, or `None` if the response waits for its upstream.
    pub(super) fn held_since(&self) -> Option<Instant> {
        let held = self.lock()?;
        (held.pieces > 0).then_some(held.since)
    }

    /// Notes that the client has accepted nothing within the time limit.
    pub(super) fn set_stalled(&self) {
        self.has_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.has_stalled.load(Ordering::Relaxed)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Held>> {
        // Every state is valid, also after a panic in another thread.
        Some(self.held.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
