//! The pool of connections to upstreams.
//!
//! ```text
//! request ─▶ Pool ─▶ Host ─ lease ─▶ exchange ──▶ upstream
//!                     ▲ ▲               │
//!            Attempt ─┘ └─ ReceivedBody ◀┘   once more on a new connection, if the request was not processed
//! ```
//! - Over HTTP/1.1 a connection serves one request at a time. It is reused after the response body has ended.
//! - Over HTTP/2 requests share connections. A further one is opened before the peer's limit of streams is reached, so that
//!   requests never wait in silence for a stream.
//! - While the first connection to a host is being made, all requests wait for it: only TLS shows the protocol.
//! - A request that its upstream has not processed is sent once more on a new connection (RFC 9110 section 9.2.2, RFC 9113
//!   section 8.7).
//! - An upstream that requires HTTP/1.1 (HTTP_1_1_REQUIRED, RFC 9113 section 7) gets this request once more over HTTP/1.1,
//!   and all further ones only over HTTP/1.1.

mod attempt;
mod connection;
mod connections;
mod counted_io;
mod error;
mod exchange;
mod frames;
mod host;
mod lease;
mod limits;
mod origin;
mod outgoing;
mod queue_time;
mod received;
mod repeat;
mod settings_signal;
mod state;
#[cfg(test)]
mod tests;
mod waiters;

use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, Uri};

use self::attempt::Connects as _;
#[cfg(feature = "fetch-images")]
pub(crate) use self::counted_io::{BytesReceived, CountedIo, InterimResponses};
pub use self::error::SendError;
use self::exchange::{Failed, begin_http1, begin_http2, end_http1, end_http2, may_be_unprocessed};
use self::host::{Accept, Host};
use self::lease::Lease;
use self::limits::PoolLimits;
use self::origin::Origin;
use self::outgoing::Outgoing;
pub use self::queue_time::QueueTime;
pub use self::received::{ReceiveError, ReceivedBody};
use self::repeat::Repeat;
use crate::connect::Connector;
use crate::request_body::RequestBody;

/// The number of hosts above which unused ones are forgotten. The configuration names a few.
const HOSTS: usize = 64;

/// A pool of connections. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    connector: Connector,
    limits: PoolLimits,
    /// The configuration names a few, so that a search is as fast as a hash.
    hosts: Mutex<Vec<Arc<Host>>>,
}

/// The URI of a request has no scheme or no authority.
#[derive(Debug, thiserror::Error)]
#[error("the URI of the request is not absolute")]
struct NotAbsolute;

impl Pool {
    pub(crate) fn new(connector: Connector) -> Self {
        Self::with_limits(connector, PoolLimits::default())
    }

    fn with_limits(connector: Connector, limits: PoolLimits) -> Self {
        Self(Arc::new(Shared { connector, limits, hosts: Mutex::default() }))
    }

    /// Sends `request` and waits for the response head. If the upstream has not processed the request, it is sent once more on
    /// a new connection, and once more over HTTP/1.1 if the upstream requires that. `queue` measures the wait for a connection
    /// to an upstream that is working.
    pub(crate) fn send(
        &self,
        mut request: Request<RequestBody>,
        queue: &QueueTime,
    ) -> impl Future<Output = Result<Response<ReceivedBody>, SendError>> {
        let host = self.host(request.uri()).ok_or_else(|| SendError::Connect(NotAbsolute.into()));
        // The future of an `async fn` would have room for the request twice: as its argument and as a variable.
        async move {
            let (host, mut accept, mut repeats) = (host?, Accept::Any, Repeats::default());
            loop {
                let lease = host.lease(accept, queue).await?;
                let (repeat, outgoing) = match may_be_unprocessed(&lease) {
                    false => (None, request.map(Outgoing::new)),
                    true => {
                        let (repeat, outgoing) = Repeat::of(request);
                        (Some(repeat), outgoing)
                    }
                };
                let exchanged = match lease {
                    Lease::Http1(mut lease) => {
                        let (watch, sent) = begin_http1(&mut lease, host.origin(), outgoing);
                        end_http1(lease, host.origin(), watch, sent.await)
                    }
                    Lease::Http2(lease) => {
                        let (watch, sent) = begin_http2(&lease, outgoing);
                        end_http2(lease, watch, sent.await)
                    }
                };
                let failed = match exchanged {
                    Ok(response) => return Ok(response),
                    Err(failed) => *failed,
                };
                if failed.requires_http1 {
                    host.require_http1();
                }
                let is_repeated = repeats.take(&failed);
                let error = SendError::Exchange(failed.error.into());
                if !is_repeated {
                    return Err(error);
                }
                let again = failed.unsent.or_else(|| repeat?.into_request());
                let Some(again) = again else { return Err(error) };
                tracing::debug!(
                    host = host.authority(),
                    "the upstream has not processed a request; it is sent once more"
                );
                (request, accept) = (again, Accept::New);
            }
        }
    }

    fn host(&self, uri: &Uri) -> Option<Arc<Host>> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.iter().find(|host| host.origin().includes(uri)) {
            return Some(Arc::clone(host));
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|host| !host.is_unused());
        }
        let host = Host::new(Origin::of(uri)?, self.0.connector.clone(), self.0.limits.clone());
        let host = Arc::new(host);
        hosts.push(Arc::clone(&host));
        Some(host)
    }
}

/// The repeats of one request that are left.
struct Repeats {
    unprocessed: bool,
    over_http1: bool,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { unprocessed: true, over_http1: true }
    }
}

impl Repeats {
    /// Uses up the repeat for this failure. Returns `false` if there is none.
    fn take(&mut self, failed: &Failed) -> bool {
        match (failed.requires_http1, failed.is_unprocessed) {
            (true, _) => std::mem::take(&mut self.over_http1),
            (false, true) => std::mem::take(&mut self.unprocessed),
            (false, false) => false,
        }
    }
}
