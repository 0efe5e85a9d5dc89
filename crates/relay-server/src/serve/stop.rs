//! The end of a server, as its connections and streams see it.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// The time in which a request that is on its way may arrive after the listener has closed.
pub(super) const ARRIVAL: Duration = Duration::from_millis(500);
/// The time for which an idle connection is kept after a hand-over. The next request on it is served, and its answer has
/// `connection: close`. Clients such as Node.js keep an idle connection for 4 s themselves.
pub(super) const KEPT_IDLE: Duration = Duration::from_secs(5);

/// The way in which [`serve_until`](crate::serve_until) stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No process accepts further connections. `/readyz` answers 503 for `server.drain_delay_ms`, in which requests are served as
    /// before. Then the connections that the system has accepted are taken, and the listener is closed.
    Close,
    /// Another process accepts the connections of the same socket from now on, also those that wait in its queue. `/readyz` is not
    /// changed, and there is no delay. Requests that have arrived in part are served as well.
    HandOver,
}

/// Waits for the stop of a server.
#[derive(Debug, Clone)]
pub(super) struct Stopping(watch::Receiver<Option<Stop>>);

impl Stopping {
    /// Creates the sender and the receiver of a stop.
    pub(super) fn new() -> (watch::Sender<Option<Stop>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits until the server has stopped accepting connections.
    pub(super) async fn begun(mut self) -> Stop {
        // An error means that the server has been dropped, which ends the connections.
        self.0.wait_for(Option::is_some).await.ok().and_then(|stop| *stop).unwrap_or(Stop::Close)
    }

    /// Waits until a request that has arrived in part is no longer waited for.
    pub(super) async fn ends_arrivals(self) {
        match self.begun().await {
            Stop::Close => sleep(ARRIVAL).await,
            Stop::HandOver => pending().await,
        }
    }
}
