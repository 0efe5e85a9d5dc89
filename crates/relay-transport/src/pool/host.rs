//! The connections to one host: takes one for each request, and opens further ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tower::BoxError;

use super::attempt::{Attempt, Connects};
use super::connection::{Driver, Established, Http1, establish};
use super::connections::Taken;
use super::error::{NoneFree, SendError};
use super::lease::{Http1Lease, Http2Lease, Lease, Owner};
use super::limits::PoolLimits;
use super::origin::Origin;
use super::queue_time::QueueTime;
use super::state::{Protocol, State, Step};
use crate::connect::Connector;

/// The connections that a request accepts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Accept {
    Any,
    /// Only a connection that is established after this moment.
    New,
}

/// The connections to one host.
pub(super) struct Host {
    origin: Origin,
    connector: Connector,
    /// The longest wait for a connection.
    wait: Duration,
    /// A connection attempt may be one too many.
    surplus: Notify,
    state: Mutex<State>,
}

impl Host {
    /// Creates a host without connections.
    pub(super) fn new(origin: Origin, connector: Connector, limits: PoolLimits) -> Self {
        // HTTP/2 is negotiated by TLS.
        let protocol = (!origin.is_https()).then_some(Protocol::Http1);
        let wait = connector.timeout().saturating_add(limits.queue);
        let state = Mutex::new(State::new(limits, protocol));
        Self { origin, connector, wait, surplus: Notify::new(), state }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns `true` if there is neither a connection nor a waiting request.
    pub(super) fn is_unused(&self) -> bool {
        self.state().is_unused()
    }

    /// Returns the number of idle HTTP/1.1 connections.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.state().connections.idle()
    }

    /// Takes a connection, or waits for one. `queue` measures the wait for a connection to an upstream that is working.
    ///
    /// # Errors
    /// [`SendError::Connect`] if the connection attempt fails, [`SendError::Saturated`] if no connection becomes free.
    pub(super) async fn lease(
        self: &Arc<Self>,
        accept: Accept,
        queue: &QueueTime,
    ) -> Result<Lease, SendError> {
        let waiting = {
            let mut state = self.state();
            let after = match accept {
                Accept::Any => 0,
                Accept::New => state.last_serial(),
            };
            match state.connections.take(after) {
                Some(taken) => return Ok(self.lend(taken)),
                None => self.wait_in(&mut state, after, queue),
            }
        };
        self.pump();
        waiting.result(self.wait).await
    }

    /// Uses only HTTP/1.1 from now on.
    pub(super) fn require_http1(&self) {
        if self.state().require_http1() {
            let host = self.authority();
            tracing::info!(
                host,
                "the upstream requires HTTP/1.1 (HTTP_1_1_REQUIRED); HTTP/2 is no longer offered"
            );
        }
    }

    fn wait_in(self: &Arc<Self>, state: &mut State, after: u64, queue: &QueueTime) -> Waiting {
        let (reply, result) = oneshot::channel();
        let id = state.wait(after, queue.clone(), reply);
        let (host, waiting, open) = (self.authority(), state.waiting(), state.open());
        if state.is_full() {
            tracing::warn!(
                host,
                waiting,
                open,
                "the limit of connections is reached; the request waits for a free one"
            );
        } else if queue.is_waiting() {
            tracing::debug!(host, waiting, open, "no stream is free; a further connection is opened");
        }
        Waiting { host: Arc::clone(self), id, result }
    }

    fn lend(self: &Arc<Self>, taken: Taken) -> Lease {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        match taken {
            Taken::Http1 { serial, connection, is_reused } => {
                Lease::Http1(Http1Lease::new(serial, connection, is_reused, owner))
            }
            Taken::Http2 { serial, connection } => {
                Lease::Http2(Arc::new(Http2Lease::new(serial, connection, owner)))
            }
        }
    }

    /// Closes the connections that have been idle for too long. Returns the time at which the next ones can be, or `None` if no
    /// connection is open.
    fn expire(&self) -> Option<Instant> {
        let mut state = self.state();
        let (removed, next) = state.expire(Instant::now());
        drop(state);
        drop(removed);
        next
    }
}

impl Owner for Host {
    fn park(self: Arc<Self>, serial: u64, connection: Http1) {
        if !connection.is_ready() {
            return;
        }
        let removed = self.state().connections.park(serial, connection);
        drop(removed);
        self.pump();
        self.reap();
    }

    fn release(self: Arc<Self>, serial: u64) {
        self.state().connections.release(serial);
        self.pump();
        self.reap();
    }
}

impl Connects for Host {
    fn connect(&self) -> impl Future<Output = Result<(Established, Driver), BoxError>> + Send {
        let connector = match self.state().is_http1_required() {
            true => self.connector.http1_only(),
            false => self.connector.clone(),
        };
        establish(connector, self.origin.uri().clone())
    }

    fn authority(&self) -> &str {
        self.origin.authority()
    }

    fn surplus(&self) -> &Notify {
        &self.surplus
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pump(self: &Arc<Self>) {
        loop {
            let step = self.state().next_step();
            match step {
                Step::Serve(waiter, taken) => waiter.reply(Ok(self.lend(taken))),
                Step::Connect => match Handle::try_current() {
                    Ok(runtime) => drop(runtime.spawn(Attempt::new(Arc::clone(self)).run())),
                    // Without a runtime no request waits any longer.
                    Err(_) => return self.state().attempt_ended(),
                },
                Step::Rest => return,
            }
        }
    }

    fn reap(self: &Arc<Self>) {
        if !self.state().start_reaping() {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(close_idle(Arc::downgrade(self)))),
            Err(_) => self.state().end_reaping(),
        }
    }
}

/// Closes the connections of a host that have been idle for too long, until none is open.
async fn close_idle(host: Weak<Host>) {
    while let Some(next) = host.upgrade().and_then(|host| host.expire()) {
        sleep_until(next).await;
    }
}

/// A waiting request. Dropping it cancels the wait.
struct Waiting {
    host: Arc<Host>,
    id: u64,
    result: oneshot::Receiver<Result<Lease, SendError>>,
}

impl Waiting {
    async fn result(mut self, limit: Duration) -> Result<Lease, SendError> {
        match timeout(limit, &mut self.result).await {
            Ok(Ok(result)) => result,
            _ => {
                let (host, waiting) = (self.host.authority(), self.host.state().waiting());
                tracing::warn!(host, waiting, "no connection became free in time; the request is not sent");
                Err(SendError::Saturated(NoneFree.into()))
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.host.state().cancel(self.id) {
            self.host.surplus.notify_one();
        }
        self.result.close();
        if let Ok(Ok(lease)) = self.result.try_recv() {
            lease.give_back();
        }
    }
}
