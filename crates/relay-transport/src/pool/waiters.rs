//! The requests that wait for a connection to a host.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::error::SendError;
use super::lease::Lease;
use super::queue_time::QueueTime;

/// The channel to a waiting request.
pub(super) type Reply = oneshot::Sender<Result<Lease, SendError>>;

/// A request that waits for a connection.
pub(super) struct Waiter {
    id: u64,
    /// The connection must have a greater number.
    after: u64,
    queue: QueueTime,
    reply: Reply,
}

impl Waiter {
    pub(super) fn reply(self, result: Result<Lease, SendError>) {
        self.queue.end();
        // The request may have been cancelled.
        if let Err(Ok(lease)) = self.reply.send(result) {
            lease.give_back();
        }
    }
}

/// The waiting requests, the first one at the front.
#[derive(Default)]
pub(super) struct Waiters {
    queue: VecDeque<Waiter>,
    last_id: u64,
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds a request that needs a connection with a number above `after`. Returns the number of the request.
    pub(super) fn push(&mut self, after: u64, queue: QueueTime, reply: Reply) -> u64 {
        self.last_id += 1;
        self.queue.push_back(Waiter { id: self.last_id, after, queue, reply });
        self.last_id
    }

    /// Removes a request. Returns `false` if it no longer waits.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let found = self.queue.iter().position(|waiter| waiter.id == id);
        let cancelled = found.and_then(|index| self.queue.remove(index));
        cancelled.inspect(|waiter| waiter.queue.end()).is_some()
    }

    /// Removes the first request for which `take` has a connection, given the number that the connection must exceed.
    pub(super) fn serve<T>(&mut self, mut take: impl FnMut(u64) -> Option<T>) -> Option<(Waiter, T)> {
        // A connection that one request cannot use is of no use to requests with the same or a higher demand.
        let mut refused = u64::MAX;
        let mut index = 0;
        while refused > 0 {
            let after = self.queue.get(index)?.after;
            if after < refused {
                if let Some(taken) = take(after) {
                    return self.queue.remove(index).map(|waiter| (waiter, taken));
                }
                refused = after;
            }
            index += 1;
        }
        None
    }

    /// Starts the relay's own queueing for every request.
    pub(super) fn begin_queueing(&self) {
        self.queue.iter().for_each(|waiter| waiter.queue.begin());
    }

    /// Removes the first `count` requests.
    pub(super) fn take_first(&mut self, count: usize) -> Vec<Waiter> {
        self.queue.drain(..count.min(self.queue.len())).collect()
    }
}
