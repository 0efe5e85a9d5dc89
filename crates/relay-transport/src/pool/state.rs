//! The connections to one host, and the requests that wait for one. Decides; does no I/O.

use tokio::time::Instant;

use super::connections::{Connections, Removed, Taken};
use super::limits::PoolLimits;
use super::queue_time::QueueTime;
use super::waiters::{Reply, Waiter, Waiters};

/// The HTTP version that the host has negotiated last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The state of a host.
pub(super) struct State {
    pub(super) connections: Connections,
    /// `None` until TLS has negotiated one.
    protocol: Option<Protocol>,
    waiters: Waiters,
    /// The number of connection attempts.
    connecting: usize,
    /// The number of HTTP/2 connections whose limit of streams is not known yet. They serve one request each so far.
    settling: usize,
    /// The number of connections, without attempts.
    open: usize,
    /// The largest allowed number of both.
    max_open: usize,
    /// The number of the last connection.
    last_serial: u64,
    is_reaped: bool,
}

/// The next thing to do for the waiting requests. It is already counted.
pub(super) enum Step {
    Serve(Waiter, Taken),
    Connect,
    Rest,
}

impl State {
    pub(super) fn new(limits: PoolLimits, protocol: Option<Protocol>) -> Self {
        Self {
            max_open: limits.connections,
            connections: Connections::new(limits),
            protocol,
            waiters: Waiters::default(),
            connecting: 0,
            settling: 0,
            open: 0,
            last_serial: 0,
            is_reaped: false,
        }
    }

    /// Returns `true` if there is neither a connection nor a waiting request.
    pub(super) fn is_unused(&self) -> bool {
        self.open == 0 && self.connecting == 0 && self.waiters.len() == 0
    }

    /// Returns the number of the last connection: a greater number is that of a newer connection.
    pub(super) fn last_serial(&self) -> u64 {
        self.last_serial
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Returns `true` if the limit of connections is reached.
    pub(super) fn is_full(&self) -> bool {
        self.open + self.connecting >= self.max_open
    }

    /// Adds a waiting request, and returns its number. If the upstream is working, its wait is the relay's own queueing.
    pub(super) fn wait(&mut self, after: u64, queue: QueueTime, reply: Reply) -> u64 {
        if self.is_full() || self.connections.is_working() {
            queue.begin();
        }
        self.waiters.push(after, queue, reply)
    }

    /// Removes a request that still waits. Returns `true` if a connection attempt is now one too many.
    pub(super) fn cancel(&mut self, waiter: u64) -> bool {
        self.waiters.cancel(waiter) && self.has_surplus()
    }

    pub(super) fn next_step(&mut self) -> Step {
        let connections = &mut self.connections;
        if let Some((waiter, taken)) = self.waiters.serve(|after| connections.take(after)) {
            return Step::Serve(waiter, taken);
        }
        if self.connecting < self.needed() && !self.is_full() {
            self.connecting += 1;
            return Step::Connect;
        }
        Step::Rest
    }

    /// Returns the number of connection attempts that the waiting requests need.
    fn needed(&self) -> usize {
        match self.protocol {
            // The first attempt shows the protocol. With HTTP/2, its connection serves all of them.
            None => self.waiters.len().min(1),
            Some(Protocol::Http1) => self.waiters.len(),
            Some(Protocol::Http2) => {
                let streams = self.connections.expected_streams();
                self.waiters.len().saturating_sub(self.settling * (streams - 1)).div_ceil(streams)
            }
        }
    }

    /// Returns `true` if a connection attempt is one too many.
    pub(super) fn has_surplus(&self) -> bool {
        self.connecting > self.needed()
    }

    /// Counts the end of a connection attempt without a connection.
    pub(super) fn attempt_ended(&mut self) {
        self.connecting = self.connecting.saturating_sub(1);
    }

    /// Counts the end of a connection attempt with a connection, and returns the number of the connection.
    pub(super) fn opened(&mut self, protocol: Protocol) -> u64 {
        self.attempt_ended();
        self.settling += usize::from(protocol == Protocol::Http2);
        if !self.is_http1_required() {
            self.protocol = Some(protocol);
        }
        self.open += 1;
        self.last_serial += 1;
        self.last_serial
    }

    /// Rules out HTTP/2. Returns `false` if that was done before.
    pub(super) fn require_http1(&mut self) -> bool {
        self.protocol = Some(Protocol::Http1);
        self.connections.require_http1()
    }

    pub(super) fn is_http1_required(&self) -> bool {
        self.connections.is_http1_required()
    }

    /// Counts an HTTP/2 connection whose limit of streams is known, or will not be.
    pub(super) fn settled(&mut self) {
        self.settling = self.settling.saturating_sub(1);
    }

    /// Counts the end of a connection.
    pub(super) fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Returns the requests that fail with a failed connection attempt. While the upstream is working, these are none: they
    /// wait for a free stream, and the wait is the relay's own queueing.
    pub(super) fn fail_attempt(&mut self) -> Vec<Waiter> {
        if self.connections.is_working() {
            self.waiters.begin_queueing();
            return Vec::new();
        }
        let served = match self.protocol {
            Some(Protocol::Http1) => 1,
            // Other attempts may still succeed.
            Some(Protocol::Http2) if self.connecting > 1 => self.connections.expected_streams(),
            _ => self.waiters.len(),
        };
        self.waiters.take_first(served)
    }

    /// Returns `true` if a task has to be started that closes idle connections.
    pub(super) fn start_reaping(&mut self) -> bool {
        !std::mem::replace(&mut self.is_reaped, true)
    }

    /// Counts the end of the task that closes idle connections.
    pub(super) fn end_reaping(&mut self) {
        self.is_reaped = false;
    }

    /// Removes the connections that have been idle for too long at `now`. Returns them, and the earliest time at which the next
    /// one has to be removed. While all connections are in use, that is the time for one that becomes idle now: a task per
    /// request would cost more than a task that wakes up for nothing. If no connection is open, the task ends.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Removed>, Option<Instant>) {
        let (removed, next) = self.connections.expire(now);
        let next = next.or_else(|| (self.open > 0).then(|| self.connections.soonest(now)));
        self.is_reaped = next.is_some();
        (removed, next)
    }
}
