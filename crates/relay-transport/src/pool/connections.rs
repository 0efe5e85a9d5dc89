//! The open connections to one host that can take a request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Http1, Http2};
use super::limits::PoolLimits;

/// The time for which a new connection may wait for its first request before it counts as reused.
const NEW: Duration = Duration::from_secs(1);

/// The idle HTTP/1.1 connections and all HTTP/2 connections. An HTTP/1.1 connection that serves a request is not among them.
pub(super) struct Connections {
    limits: PoolLimits,
    /// The last used one is at the back, and the next to be used.
    idle: VecDeque<Idle>,
    shared: Vec<Shared>,
    /// `true` once the upstream has refused HTTP/2. Its open streams continue.
    is_http1_required: bool,
}

struct Idle {
    serial: u64,
    connection: Http1,
    since: Instant,
}

struct Shared {
    serial: u64,
    connection: Arc<Http2>,
    streams: usize,
    /// The time at which the last stream ended.
    idle_since: Instant,
}

/// A connection that was taken for a request.
pub(super) enum Taken {
    Http1 { serial: u64, connection: Http1, is_reused: bool },
    Http2 { serial: u64, connection: Arc<Http2> },
}

/// A connection that was removed. Dropping it closes the connection. This must not happen under the lock of the state.
pub(super) enum Removed {
    Http1 { _connection: Http1 },
    Http2 { _connection: Arc<Http2> },
}

impl Connections {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self { limits, idle: VecDeque::new(), shared: Vec::new(), is_http1_required: false }
    }

    /// Returns the number of idle HTTP/1.1 connections.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Takes a connection whose number is greater than `after`.
    pub(super) fn take(&mut self, after: u64) -> Option<Taken> {
        self.take_idle(after).or_else(|| self.take_stream(after))
    }

    fn take_idle(&mut self, after: u64) -> Option<Taken> {
        let found = self.idle.iter().rposition(|idle| idle.serial > after && idle.connection.is_ready())?;
        let Idle { serial, connection, since } = self.idle.remove(found)?;
        let is_reused = connection.is_used() || since.elapsed() > NEW;
        Some(Taken::Http1 { serial, connection, is_reused })
    }

    /// Rules out HTTP/2. Returns `false` if that was done before.
    pub(super) fn require_http1(&mut self) -> bool {
        !std::mem::replace(&mut self.is_http1_required, true)
    }

    pub(super) fn is_http1_required(&self) -> bool {
        self.is_http1_required
    }

    fn take_stream(&mut self, after: u64) -> Option<Taken> {
        if self.is_http1_required {
            return None;
        }
        let limits = &self.limits;
        let shared = self.shared.iter_mut().find(|shared| {
            shared.serial > after
                && shared.connection.is_open()
                && shared.streams < shared.connection.usable_streams(limits)
        })?;
        shared.streams += 1;
        Some(Taken::Http2 { serial: shared.serial, connection: Arc::clone(&shared.connection) })
    }

    /// Adds an idle HTTP/1.1 connection. If there are too many, removes the one that has been idle for the longest time.
    pub(super) fn park(&mut self, serial: u64, connection: Http1) -> Option<Removed> {
        self.idle.push_back(Idle { serial, connection, since: Instant::now() });
        if self.idle.len() <= self.limits.idle_per_host {
            return None;
        }
        self.idle.pop_front().map(|idle| Removed::Http1 { _connection: idle.connection })
    }

    pub(super) fn share(&mut self, serial: u64, connection: Arc<Http2>) {
        self.shared.push(Shared { serial, connection, streams: 0, idle_since: Instant::now() });
    }

    /// Counts the end of a stream.
    pub(super) fn release(&mut self, serial: u64) {
        if let Some(shared) = self.shared.iter_mut().find(|shared| shared.serial == serial) {
            shared.streams = shared.streams.saturating_sub(1);
            shared.idle_since = Instant::now();
        }
    }

    pub(super) fn remove(&mut self, serial: u64) -> Option<Removed> {
        if let Some(index) = self.idle.iter().position(|idle| idle.serial == serial) {
            return self.idle.remove(index).map(|idle| Removed::Http1 { _connection: idle.connection });
        }
        let index = self.shared.iter().position(|shared| shared.serial == serial)?;
        Some(Removed::Http2 { _connection: self.shared.remove(index).connection })
    }

    /// Returns `true` if a stream is open on an HTTP/2 connection that takes further requests.
    pub(super) fn is_working(&self) -> bool {
        !self.is_http1_required
            && self.shared.iter().any(|shared| shared.streams > 0 && shared.connection.is_open())
    }

    /// Returns the number of streams that a further HTTP/2 connection is expected to take.
    pub(super) fn expected_streams(&self) -> usize {
        let last = self.shared.iter().rev().find(|shared| shared.connection.has_settings());
        last.map_or(self.limits.streams, |shared| shared.connection.usable_streams(&self.limits).max(1))
    }

    /// Removes the connections that have been idle for too long at `now`. Returns them, and the time at which the next one
    /// has to be removed.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Removed>, Option<Instant>) {
        let limit = self.limits.idle;
        let mut removed = Vec::new();
        while let Some(front) = self.idle.front()
            && front.since + self.idle_limit() <= now
        {
            let idle = self.idle.pop_front();
            removed.extend(idle.map(|idle| Removed::Http1 { _connection: idle.connection }));
        }
        let is_expired = |shared: &mut Shared| shared.streams == 0 && shared.idle_since + limit <= now;
        let shared = self.shared.extract_if(.., is_expired);
        removed.extend(shared.map(|shared| Removed::Http2 { _connection: shared.connection }));
        let shared = self.shared.iter().filter(|shared| shared.streams == 0);
        let shared = shared.map(|shared| shared.idle_since + limit);
        let next = shared.chain(self.idle.front().map(|idle| idle.since + self.idle_limit())).min();
        (removed, next.map(|next| next.min(self.soonest(now))))
    }

    /// Returns the time for which the HTTP/1.1 connection that has been idle for the longest time may be idle.
    fn idle_limit(&self) -> Duration {
        let PoolLimits { idle, surplus, kept_per_host, .. } = self.limits;
        if self.idle.len() > kept_per_host { surplus.min(idle) } else { idle }
    }

    /// Returns the earliest time at which a connection that becomes idle at `now` has to be removed.
    pub(super) fn soonest(&self, now: Instant) -> Instant {
        now + self.limits.surplus.min(self.limits.idle)
    }
}
