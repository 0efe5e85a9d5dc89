//! One attempt to make a connection to a host.

use std::pin::pin;
use std::sync::{Arc, MutexGuard, Weak};

use tokio::sync::Notify;
use tokio::time::sleep;
use tower::BoxError;

use super::connection::{Driver, Established, Http1, Http2};
use super::error::SendError;
use super::lease::Owner;
use super::limits::FURTHER_PAUSE;
use super::state::{Protocol, State};

/// A host to which connections are made.
pub(super) trait Connects: Owner + 'static {
    /// Makes a connection.
    fn connect(&self) -> impl Future<Output = Result<(Established, Driver), BoxError>> + Send;
    /// Returns the name of the host for the log.
    fn authority(&self) -> &str;
    /// Returns the signal that an attempt may be one too many.
    fn surplus(&self) -> &Notify;
    fn state(&self) -> MutexGuard<'_, State>;
    /// Serves the waiting requests with free connections, and starts the attempts that the others need.
    fn pump(self: &Arc<Self>);
    /// Starts the task that closes idle connections, unless it runs already.
    fn reap(self: &Arc<Self>);
}

/// A connection attempt. It is counted until it is dropped.
pub(super) struct Attempt<H: Connects> {
    host: Arc<H>,
    counted: Counted,
    /// `false` if the runtime has dropped the attempt.
    has_run: bool,
}

/// The way in which an attempt is counted in the state of the host.
#[derive(Clone, Copy)]
enum Counted {
    Connecting,
    Settling,
    No,
}

impl<H: Connects> Attempt<H> {
    pub(super) fn new(host: Arc<H>) -> Self {
        Self { host, counted: Counted::Connecting, has_run: false }
    }

    pub(super) async fn run(mut self) {
        match self.establish().await {
            Some(Ok((Established::Http1(connection), driver))) => self.open_http1(connection, driver).await,
            Some(Ok((Established::Http2(connection), driver))) => self.open_http2(connection, driver).await,
            Some(Err(error)) => self.failed(error).await,
            None => {}
        }
        self.has_run = true;
    }

    /// Connects. Returns `None` if no waiting request needs the connection any longer.
    async fn establish(&self) -> Option<Result<(Established, Driver), BoxError>> {
        let host = &self.host;
        let mut connecting = pin!(host.connect());
        loop {
            tokio::select! {
                result = &mut connecting => return Some(result),
                () = host.surplus().notified() => if host.state().has_surplus() { return None },
            }
        }
    }

    async fn open_http1(&mut self, mut connection: Http1, driver: Driver) {
        let host = &self.host;
        let serial = host.state().opened(Protocol::Http1);
        self.counted = Counted::No;
        tokio::spawn(drive(driver, serial, Arc::downgrade(host)));
        if connection.ready().await {
            Arc::clone(host).park(serial, connection);
        }
    }

    async fn open_http2(&mut self, connection: Http2, driver: Driver) {
        let host = &self.host;
        let connection = Arc::new(connection);
        let (serial, open) = {
            let mut state = host.state();
            let serial = state.opened(Protocol::Http2);
            state.connections.share(serial, Arc::clone(&connection));
            (serial, state.open())
        };
        self.counted = Counted::Settling;
        tracing::debug!(host = host.authority(), open, "an HTTP/2 connection is open");
        tokio::spawn(drive(driver, serial, Arc::downgrade(host)));
        host.pump();
        host.reap();
        connection.settings().await;
    }

    /// Reports the failure to the requests that this attempt would have served.
    async fn failed(&self, error: BoxError) {
        let host = &self.host;
        let (failed, waiting) = {
            let mut state = host.state();
            (state.fail_attempt(), state.waiting())
        };
        if failed.is_empty() && waiting > 0 {
            let host = host.authority();
            tracing::warn!(host, waiting, %error, "no further connection can be opened; the requests wait for a free stream");
            sleep(FURTHER_PAUSE).await;
            return;
        }
        let errors = SendError::of_attempt(error, failed.len());
        failed.into_iter().zip(errors).for_each(|(waiter, error)| waiter.reply(Err(error)));
    }
}

impl<H: Connects> Drop for Attempt<H> {
    fn drop(&mut self) {
        match self.counted {
            Counted::Connecting => self.host.state().attempt_ended(),
            Counted::Settling => self.host.state().settled(),
            Counted::No => {}
        }
        // A runtime that shuts down would drop a further attempt as well.
        if self.has_run {
            self.host.pump();
        }
    }
}

/// Runs a connection until it has ended, and removes it from its host.
async fn drive(driver: Driver, serial: u64, host: Weak<impl Connects>) {
    let ended = driver.await;
    let Some(host) = host.upgrade() else { return };
    if let Err(error) = ended {
        tracing::debug!(host = host.authority(), %error, "a connection has failed");
    }
    let removed = {
        let mut state = host.state();
        state.closed();
        state.connections.remove(serial)
    };
    drop(removed);
    host.pump();
}
