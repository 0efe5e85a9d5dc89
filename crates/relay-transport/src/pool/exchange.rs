//! One request on one connection, up to the response head.

use std::sync::Arc;

use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, Uri};
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::counted_io::BytesReceived;
use super::lease::{Http1Lease, Http2Lease, Lease};
use super::limits::IDLE_CLOSE_WINDOW;
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

/// Sends `request`. Dropping the future cancels the exchange.
pub(super) async fn exchange(
    lease: Lease,
    request: Request<Outgoing>,
) -> Result<Response<ReceivedBody>, Box<Failed>> {
    match lease {
        Lease::Http1(lease) => over_http1(lease, request).await,
        Lease::Http2(lease) => over_http2(lease, request).await,
    }
}

async fn over_http1(
    mut lease: Http1Lease,
    mut request: Request<Outgoing>,
) -> Result<Response<ReceivedBody>, Box<Failed>> {
    let uri = request.uri().clone();
    write_target(&mut request);
    let watch = Watch::begin(lease.connection.received().clone(), lease.is_reused());
    let response = lease.connection.send(request).await.map_err(|error| watch.failed(error, uri))?;
    Ok(response.map(|body| ReceivedBody::new(body, InUse::Http1(lease))))
}

async fn over_http2(
    lease: Arc<Http2Lease>,
    request: Request<Outgoing>,
) -> Result<Response<ReceivedBody>, Box<Failed>> {
    let uri = request.uri().clone();
    let connection = lease.connection();
    let watch = Watch::begin(connection.received().clone(), connection.has_answered());
    let request = request.map(|body| body.with_hold(Arc::clone(&lease) as _));
    let response = connection.send(request).await.map_err(|error| {
        let mut failed = watch.failed(error, uri);
        failed.requires_http1 = connection.requires_http1() || requires_http1(&failed.error);
        failed
    })?;
    Ok(response.map(|body| ReceivedBody::new(body, InUse::Http2 { _lease: lease })))
}

/// Watches a connection for response bytes.
struct Watch {
    received: BytesReceived,
    before: u64,
    since: Instant,
    is_reused: bool,
}

impl Watch {
    fn begin(received: BytesReceived, is_reused: bool) -> Self {
        Self { before: received.get(), received, since: Instant::now(), is_reused }
    }

    fn failed(self, mut error: TrySendError<Request<Outgoing>>, uri: Uri) -> Box<Failed> {
        let message = error.take_message();
        let is_unsent = message.is_some();
        let error = error.into_error();
        let is_unprocessed = is_unsent && self.is_reused || is_refused(&error) || self.is_idle_close(&error);
        let unsent = message.and_then(|request| {
            let (mut head, body) = request.into_parts();
            head.uri = uri;
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

/// Writes the request target and the host as HTTP/1.1 requires (RFC 9112 section 3.2): the origin form, since a proxy is
/// passed by a tunnel.
fn write_target(request: &mut Request<Outgoing>) {
    if let Some(host) = request.uri().authority().and_then(|_| host(request.uri())) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    if request.method() != Method::CONNECT {
        let target = request.uri().path_and_query().cloned();
        *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
    }
}

/// Returns the value of the `host` header: without a port that is the default of its scheme, and without user information.
fn host(uri: &Uri) -> Option<HeaderValue> {
    let host = uri.host()?;
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    match uri.port_u16() {
        Some(port) if port != default => HeaderValue::try_from(format!("{host}:{port}")).ok(),
        _ => HeaderValue::from_str(host).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_http1_is_in_origin_form_and_host_omits_the_default_port() {
        #[track_caller]
        fn check(uri: &'static str, target: &str, host: &str) {
            let mut request = Request::new(Outgoing::new(RequestBody::Payload(Default::default())));
            *request.uri_mut() = Uri::from_static(uri);
            write_target(&mut request);
            assert_eq!(request.uri(), target);
            assert_eq!(request.headers()[HOST], host);
        }
        check("https://a.example/v1/messages?beta=true", "/v1/messages?beta=true", "a.example");
        check("https://a.example:443/", "/", "a.example");
        check("https://a.example:80", "/", "a.example:80");
        check("http://127.0.0.1:80/x", "/x", "127.0.0.1");
        check("http://[::1]:11434/x", "/x", "[::1]:11434");
    }
}
