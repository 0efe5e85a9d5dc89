//! The use of a connection by one request.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::{Http1, Http2};
use super::limits::REUSE_TIMEOUT;

/// The owner of the connections to a host, to which a lease returns.
pub(super) trait Owner: Send + Sync {
    /// Takes an HTTP/1.1 connection whose exchange is complete.
    fn park(self: Arc<Self>, serial: u64, connection: Http1);
    /// Takes back the place of a stream on the HTTP/2 connection with this number.
    fn release(self: Arc<Self>, serial: u64);
}

/// The right to send one request on a connection.
pub(super) enum Lease {
    Http1(Http1Lease),
    Http2(Arc<Http2Lease>),
}

impl Lease {
    /// Returns a connection on which no request was sent.
    pub(super) fn give_back(self) {
        if let Self::Http1(lease) = self {
            lease.owner.park(lease.serial, lease.connection);
        }
    }
}

/// An HTTP/1.1 connection that one request uses alone. Dropping it closes the connection.
pub(super) struct Http1Lease {
    pub(super) connection: Http1,
    serial: u64,
    is_reused: bool,
    owner: Arc<dyn Owner>,
}

impl Http1Lease {
    /// Creates the lease. `is_reused` is true if the upstream may have closed the connection because it was idle.
    pub(super) fn new(serial: u64, connection: Http1, is_reused: bool, owner: Arc<dyn Owner>) -> Self {
        Self { serial, connection, is_reused, owner }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Returns the connection to its owner for the next request. The response has to be complete.
    pub(super) fn finish(mut self) {
        if self.connection.is_ready() {
            self.owner.park(self.serial, self.connection);
        } else if let Ok(runtime) = Handle::try_current() {
            // The task of the connection may run after that of the body. If the request is still being sent although its
            // response is complete, the connection is closed.
            runtime.spawn(async move {
                if timeout(REUSE_TIMEOUT, self.connection.ready()).await == Ok(true) {
                    self.owner.park(self.serial, self.connection);
                }
            });
        }
    }
}

/// The place of one stream on an HTTP/2 connection. Dropping it gives the place back.
pub(super) struct Http2Lease {
    serial: u64,
    connection: Arc<Http2>,
    owner: Arc<dyn Owner>,
}

impl Http2Lease {
    pub(super) fn new(serial: u64, connection: Arc<Http2>, owner: Arc<dyn Owner>) -> Self {
        Self { serial, connection, owner }
    }

    pub(super) fn connection(&self) -> &Http2 {
        &self.connection
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        Arc::clone(&self.owner).release(self.serial);
    }
}
