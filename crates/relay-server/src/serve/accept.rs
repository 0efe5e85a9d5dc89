//! Accepts connections, at most a limit of them at one time.

use std::io::{self, ErrorKind};
use std::iter;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use relay_transport::is_about_open_files;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::listener::Listener;
use super::log_interval::LogInterval;
use super::open_connections::OpenConnections;
use super::peer::PeerAddress;
use super::socket::ClientSocket;
use super::tcp::BACKLOG;

/// The pause after a failed accept, which fails again at once while no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// The time that an idle connection has to close at the limit, before the next one is asked to.
const ROOM_INTERVAL: Duration = Duration::from_millis(100);
/// The files that the request of a further client needs: its connection, and one to an upstream.
const FILES_PER_CLIENT: usize = 2;
/// The shortest time between two log lines about the same obstacle.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The limit of connections, over all listeners of a relay.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLimit {
    limit: usize,
    places: Arc<Semaphore>,
    open: Arc<OpenConnections>,
}

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { limit, places: Arc::new(Semaphore::new(limit)), open: Arc::default() }
    }

    /// Returns the open connections, of which idle ones make room at the limit.
    pub(super) fn open(&self) -> &Arc<OpenConnections> {
        &self.open
    }
}

/// An accepted connection. It has its place among the connections until `place` is dropped.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: ClientSocket,
    pub(super) peer: PeerAddress,
    pub(super) place: OwnedSemaphorePermit,
}

/// Accepts the connections of one listener. At the limit, and if the process has no free file, the connections that have been
/// idle for longest are closed, so that idle clients cannot keep others out. If none is idle, further connections wait in the
/// backlog of the system.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: Listener,
    limit: ConnectionLimit,
    at_limit: LogInterval,
    failing: LogInterval,
}

impl Acceptor {
    pub(super) fn new(listener: Listener, limit: ConnectionLimit) -> Self {
        Self {
            listener,
            limit,
            at_limit: LogInterval::new(LOG_INTERVAL),
            failing: LogInterval::new(LOG_INTERVAL),
        }
    }

    /// Waits for the next connection. Dropping the future loses none.
    pub(super) async fn accept(&mut self) -> Accepted {
        let place = self.place().await;
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => return Accepted { socket, peer, place },
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    if self.failing.is_due() {
                        tracing::warn!(%error, "cannot accept connections; trying again every 100 ms");
                    }
                    if is_about_open_files(&error) {
                        (0..FILES_PER_CLIENT).for_each(|_| self.limit.open.close_longest_idle());
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Returns the connections that wait in the queue of the system, as long as there are places, and at most one full queue.
    pub(super) fn accept_waiting(&self) -> impl Iterator<Item = Accepted> {
        iter::from_fn(|| self.accept_now()).take(BACKLOG as usize)
    }

    fn accept_now(&self) -> Option<Accepted> {
        let place = Arc::clone(&self.limit.places).try_acquire_owned().ok()?;
        loop {
            match self.listener.accept_now() {
                Ok((socket, peer)) => return Some(Accepted { socket, peer, place }),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        tracing::warn!(%error, "cannot accept the connections that wait");
                    }
                    return None;
                }
            }
        }
    }

    async fn place(&mut self) -> OwnedSemaphorePermit {
        let ConnectionLimit { limit, places, open } = &self.limit;
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return place;
        }
        if self.at_limit.is_due() {
            tracing::warn!(
                limit,
                "as many clients are connected as may be; idle connections are closed, and further ones wait"
            );
        }
        let mut place = pin!(Arc::clone(places).acquire_owned());
        loop {
            open.close_longest_idle();
            match timeout(ROOM_INTERVAL, &mut place).await {
                Ok(Ok(place)) => return place,
                // The semaphore is never closed.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) => {}
            }
        }
    }
}

/// Returns `true` for an error of the connection that would have been accepted, after which the next one is there.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}
