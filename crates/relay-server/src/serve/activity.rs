//! The state of one client connection: its requests, and the bytes that the client has not accepted.

use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::progress::Progress;
use super::refusal::Refusal;
use super::settings::HeadTimeouts;
use crate::request_id::RequestId;

/// The state of one client connection, shared by the connection, its requests and its socket.
#[derive(Debug)]
pub(super) struct Activity {
    requests: Mutex<Requests>,
    /// True while a write to the client waits for the client.
    is_write_blocked: AtomicBool,
    /// True once the client has accepted no byte for `server.write_timeout_ms`.
    has_stalled: AtomicBool,
    /// True while the end of the connection would look to the client like the end of a response that is not complete.
    needs_reset: AtomicBool,
    /// True once a request has ended whose body was not read to its end, or once bytes were no request.
    is_unread: AtomicBool,
    /// The number of pieces of HTTP/1.1 responses that the client has not accepted.
    pieces: AtomicUsize,
    /// The id and the status of the answer to bytes that were no request.
    refused: Mutex<Option<(RequestId, StatusCode)>>,
    /// The progress of the exchange whose HTTP/2 stream is about to be spawned.
    next_stream: Mutex<Option<Arc<Progress>>>,
    /// True once the server has stopped: the connection serves no request after the one that is open, or that arrives next.
    is_last_request: AtomicBool,
    /// Wakes the connection if it has to make room for another one.
    room_needed: Notify,
    /// True once the connection has been asked to make room.
    makes_room: AtomicBool,
}

#[derive(Debug)]
struct Requests {
    /// The number of requests whose response has not ended.
    open: usize,
    /// The number of open requests whose body has not arrived.
    incomplete: usize,
    is_http2: bool,
    has_been_used: bool,
    /// The time at which the connection was accepted, or at which its last request ended.
    since: Instant,
}

/// The version of HTTP that a connection has spoken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// No request has arrived.
    Unknown,
    Http1,
    Http2,
}

impl Activity {
    pub(super) fn new() -> Self {
        let requests =
            Requests { open: 0, incomplete: 0, is_http2: false, has_been_used: false, since: Instant::now() };
        Self {
            requests: Mutex::new(requests),
            is_write_blocked: AtomicBool::new(false),
            has_stalled: AtomicBool::new(false),
            needs_reset: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
            pieces: AtomicUsize::new(0),
            refused: Mutex::new(None),
            next_stream: Mutex::new(None),
            is_last_request: AtomicBool::new(false),
            room_needed: Notify::new(),
            makes_room: AtomicBool::new(false),
        }
    }

    /// Counts a request whose head has arrived.
    pub(super) fn request_begins(&self, is_incomplete: bool, is_http2: bool) {
        let mut requests = self.lock();
        requests.open += 1;
        requests.incomplete += usize::from(is_incomplete);
        requests.is_http2 = is_http2;
        requests.has_been_used = true;
    }

    /// Counts a request body as arrived.
    pub(super) fn body_ends(&self) {
        let mut requests = self.lock();
        requests.incomplete = requests.incomplete.saturating_sub(1);
    }

    /// Counts a request whose response has ended.
    pub(super) fn request_ends(&self) {
        let mut requests = self.lock();
        requests.open = requests.open.saturating_sub(1);
        requests.since = Instant::now();
    }

    pub(super) fn protocol(&self) -> Protocol {
        let requests = self.lock();
        match (requests.has_been_used, requests.is_http2) {
            (false, _) => Protocol::Unknown,
            (true, false) => Protocol::Http1,
            (true, true) => Protocol::Http2,
        }
    }

    /// Returns `true` if no request is open, and everything written so far has gone to the socket.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().open == 0 && !self.is_write_blocked()
    }

    /// Ends the connection after the request that is open, or that arrives next.
    pub(super) fn set_last_request(&self) {
        self.is_last_request.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the connection ends after the open request.
    pub(super) fn is_last_request(&self) -> bool {
        self.is_last_request.load(Ordering::Relaxed)
    }

    /// Returns `true` if the first request has not arrived completely, or a later one only in part.
    pub(super) fn awaits_request(&self) -> bool {
        self.protocol() == Protocol::Unknown || self.is_request_incomplete()
    }

    /// Returns `true` if an open request waits for its body.
    pub(super) fn is_request_incomplete(&self) -> bool {
        self.lock().incomplete > 0
    }

    /// Returns the time at which the connection has been without a request for too long, or `None` while it has one.
    pub(super) fn idle_deadline(&self, timeouts: HeadTimeouts) -> Option<Instant> {
        let requests = self.lock();
        let limit = if requests.has_been_used { timeouts.next } else { timeouts.first };
        (requests.open == 0).then(|| requests.since + limit)
    }

    /// Returns the time since which the connection has been idle, or `None` if it is not, or has been asked to close.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_free = self.is_idle() && !self.makes_room.load(Ordering::Relaxed);
        is_free.then(|| self.lock().since)
    }

    /// Asks the connection to close if it is still idle.
    pub(super) fn make_room(&self) {
        self.makes_room.store(true, Ordering::Relaxed);
        self.room_needed.notify_one();
    }

    /// Waits until the connection is asked to close.
    pub(super) async fn room_needed(&self) {
        self.room_needed.notified().await;
    }

    /// Keeps the connection, which has a request again.
    pub(super) fn stay(&self) {
        self.makes_room.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_write_blocked(&self, is_blocked: bool) {
        self.is_write_blocked.store(is_blocked, Ordering::Relaxed);
    }

    pub(super) fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn set_stalled(&self) {
        self.has_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.has_stalled.load(Ordering::Relaxed)
    }

    pub(super) fn set_needs_reset(&self, needs_reset: bool) {
        self.needs_reset.store(needs_reset, Ordering::Relaxed);
    }

    /// Returns `true` if the connection must end with a reset, so that the client notices missing bytes.
    pub(super) fn needs_reset(&self) -> bool {
        self.needs_reset.load(Ordering::Relaxed) || self.is_write_blocked()
    }

    /// Notes that the client may still send bytes that are not read.
    pub(super) fn set_unread(&self) {
        self.is_unread.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the client may still send bytes of an HTTP/1.1 request that are not read.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed) && self.protocol() != Protocol::Http2
    }

    /// Notes that the server has received a piece of an HTTP/1.1 response.
    pub(super) fn piece_held(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the client has accepted a whole piece of an HTTP/1.1 response, or that the server has dropped it.
    pub(super) fn piece_released(&self) {
        self.pieces.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns `true` if a piece of an HTTP/1.1 response waits for the client.
    pub(super) fn holds_piece(&self) -> bool {
        self.pieces.load(Ordering::Relaxed) > 0
    }

    /// Returns the answer in the place of `written`, if hyper has made that answer itself. While a part of a response is in
    /// its buffers, the bytes may be those of a body.
    pub(super) fn refusal(&self, written: &[IoSlice<'_>]) -> Option<Refusal> {
        if self.holds_piece() || self.protocol() == Protocol::Http2 {
            return None;
        }
        let refusal = Refusal::of(written)?;
        self.set_unread();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((refusal.id.clone(), refusal.status));
        Some(refusal)
    }

    /// Returns the id and the status of the answer to bytes that were no request.
    pub(super) fn refused(&self) -> Option<(RequestId, StatusCode)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps `progress` for the stream that is spawned next.
    pub(super) fn set_next_stream(&self, progress: Arc<Progress>) {
        *self.next_stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    pub(super) fn take_next_stream(&self) -> Option<Arc<Progress>> {
        self.next_stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        // Every state is valid, also after a panic in another thread.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
