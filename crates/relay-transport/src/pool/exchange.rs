//! One request on one connection, up to the response head.

use std::sync::Arc;

use http::{Request, Response};
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::connection::Sent;
use super::counted_io::BytesReceived;
use super::lease::{Http1Lease, Http2Lease, Lease};
use super::limits::IDLE_CLOSE_WINDOW;
use super::origin::Origin;
use super::outgoing::Outgoing;
use super::received::{InUse, ReceivedBody};
use super::repeat::{is_closed, is_refused, requires_http1};
use crate::request_body::RequestBody;

/// An exchange without a response head.
pub(super) struct Failed {
    pub(super) error: hyper::Error,
    /// The request, if the connection has not sent any of it.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// `true` if the upstream has not processed the request.
    pub(super) is_unprocessed: bool,
    /// `true` if the upstream has not processed the request because it requires HTTP/1.1.
    pub(super) requires_http1: bool,
}

/// Returns `true` if the exchange can fail although the upstream has not processed the request.
pub(super) fn may_be_unprocessed(lease: &Lease) -> bool {
    match lease {
        Lease::Http1(lease) => lease.is_reused(),
        Lease::Http2(_) => true,
    }
}

/// Sends `request` to a host at `origin`. Dropping the future of its response cancels the exchange, which [`end_http1`] completes.
pub(super) fn begin_http1(
    lease: &mut Http1Lease,
    origin: &Origin,
    mut request: Request<Outgoing>,
) -> (Watch, impl Future<Output = Sent> + use<>) {
    origin.write_target(&mut request);
    let watch = Watch::begin(lease.connection.received().clone(), lease.is_reused());
    (watch, lease.connection.send(request))
}

/// Completes an exchange that [`begin_http1`] has begun.
pub(super) fn end_http1(
    lease: Http1Lease,
    origin: &Origin,
    watch: Watch,
    sent: Sent,
) -> Result<Response<ReceivedBody>, Box<Failed>> {
    let response = sent.map_err(|error| watch.failed(error, Some(origin)))?;
    Ok(response.map(|body| ReceivedBody::new(body, InUse::Http1(lease))))
}

/// Sends `request` as a stream. Dropping the future of its response cancels the exchange, which [`end_http2`] completes.
pub(super) fn begin_http2(
    lease: &Arc<Http2Lease>,
    request: Request<Outgoing>,
) -> (Watch, impl Future<Output = Sent> + use<>) {
    let connection = lease.connection();
    let watch = Watch::begin(connection.received().clone(), connection.has_answered());
    let request = request.map(|body| body.with_hold(Arc::clone(lease) as _));
    (watch, connection.send(request))
}

/// Completes an exchange that [`begin_http2`] has begun.
pub(super) fn end_http2(
    lease: Arc<Http2Lease>,
    watch: Watch,
    sent: Sent,
) -> Result<Response<ReceivedBody>, Box<Failed>> {
    let connection = lease.connection();
    let response = sent.map_err(|error| {
        let mut failed = watch.failed(error, None);
        failed.requires_http1 = connection.requires_http1() || requires_http1(&failed.error);
        failed
    })?;
    connection.note_answer();
    Ok(response.map(|body| ReceivedBody::new(body, InUse::Http2 { _lease: lease })))
}

/// Watches a connection for response bytes.
pub(super) struct Watch {
    received: BytesReceived,
    before: u64,
    since: Instant,
    is_reused: bool,
}

impl Watch {
    fn begin(received: BytesReceived, is_reused: bool) -> Self {
        Self { before: received.get(), received, since: Instant::now(), is_reused }
    }

    /// Reads the failure of a request, whose target has been written for `origin`.
    fn failed(self, mut error: TrySendError<Request<Outgoing>>, origin: Option<&Origin>) -> Box<Failed> {
        let message = error.take_message();
        let is_unsent = message.is_some();
        let error = error.into_error();
        let is_unprocessed = is_unsent && self.is_reused || is_refused(&error) || self.is_idle_close(&error);
        let unsent = message.and_then(|request| {
            let (mut head, body) = request.into_parts();
            if let Some(origin) = origin {
                head.uri = origin.absolute(head.uri);
            }
            Some(Request::from_parts(head, body.into_unsent()?))
        });
        Box::new(Failed { error, unsent, is_unprocessed, requires_http1: false })
    }

    /// Returns `true` if the upstream has closed the connection because it was idle. Such a close crosses the request on its
    /// way, so it comes at once, and instead of any response byte.
    fn is_idle_close(&self, error: &hyper::Error) -> bool {
        self.is_reused
            && self.received.get() == self.before
            && self.since.elapsed() < IDLE_CLOSE_WINDOW
            && is_closed(error)
    }
}
