//! Listeners that stop together.

use std::future::pending;

use relay_server::{Drained, Listener, Reloadable, Stop};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// Listeners that stop together. If it is dropped, their connections are cut.
#[derive(Debug)]
pub(crate) struct ListenerGroup {
    serving: JoinSet<Drained>,
    stop: watch::Sender<Option<Stop>>,
}

impl ListenerGroup {
    /// Creates a group without listeners.
    pub(crate) fn new() -> Self {
        Self { serving: JoinSet::new(), stop: watch::Sender::new(None) }
    }

    /// Serves `relay` on `listeners`.
    pub(crate) fn of_relay(listeners: Vec<Listener>, relay: &Reloadable) -> Self {
        let mut group = Self::new();
        for listener in listeners {
            group.spawn(relay_server::serve_until(listener, relay.clone(), group.stopped()));
        }
        group
    }

    /// Runs `serving`, which serves listeners until [`stopped`](Self::stopped) completes.
    pub(crate) fn spawn(&mut self, serving: impl Future<Output = Drained> + Send + 'static) {
        self.serving.spawn(serving);
    }

    /// Waits until the group stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = Stop> + Send + use<> {
        let mut stop = self.stop.subscribe();
        // An error means that the group has been dropped.
        async move { stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop).unwrap_or(Stop::Close) }
    }

    /// Drains and closes the listeners.
    pub(crate) fn close(&self) {
        self.stop.send_replace(Some(Stop::Close));
    }

    /// Leaves the sockets to another process, and waits until no listener accepts a further connection.
    #[cfg(unix)]
    pub(crate) async fn hand_over(&self) {
        self.stop.send_replace(Some(Stop::HandOver));
        // Each listener has seen it, and dropped its receiver.
        self.stop.closed().await;
    }

    /// Waits for the panic of a listener, by which alone it ends before the stop.
    pub(crate) async fn failed(&mut self) -> JoinError {
        while let Some(ended) = self.serving.join_next().await {
            if let Err(error) = ended {
                return error;
            }
        }
        pending().await
    }

    /// Waits until all listeners have ended, and returns the number of connections that were cut.
    ///
    /// # Errors
    /// The panic of a listener.
    pub(crate) async fn drained(&mut self) -> Result<usize, JoinError> {
        let mut cut = 0;
        while let Some(ended) = self.serving.join_next().await {
            cut += ended?.cut;
        }
        Ok(cut)
    }
}
