//! Requests that an upstream has not processed, and that are sent once more.

use std::error::Error;
use std::io::{self, ErrorKind};

use h2::Reason;
use http::{HeaderMap, Method, Request, Uri};
use http_body::Body;
use relay_messages::{Payload, error_sources};

use super::outgoing::{Outgoing, SharedStream};
use crate::request_body::RequestBody;

/// A copy of a request that can be sent on another connection.
pub(super) struct Repeat {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: RepeatBody,
}

enum RepeatBody {
    Payload(Payload),
    Stream(SharedStream),
}

impl Repeat {
    /// Splits a request into the one to send and its copy.
    pub(super) fn of(request: Request<RequestBody>) -> (Self, Request<Outgoing>) {
        let (head, body) = request.into_parts();
        let (kept, sent) = match body {
            // Nothing can be read from it, so it may be sent any number of times.
            RequestBody::Stream(body) if body.is_end_stream() => (
                RepeatBody::Payload(Payload::default()),
                Outgoing::new(RequestBody::Payload(Payload::default())),
            ),
            RequestBody::Stream(body) => {
                let stream = SharedStream::new(body);
                (RepeatBody::Stream(stream.clone()), Outgoing::shared(stream))
            }
            RequestBody::Payload(payload) => {
                (RepeatBody::Payload(payload.clone()), Outgoing::new(RequestBody::Payload(payload)))
            }
        };
        let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
        (Self { method, uri, headers, body: kept }, Request::from_parts(head, sent))
    }

    /// Returns the request once more, or `None` if a part of its body has been read.
    pub(super) fn into_request(self) -> Option<Request<RequestBody>> {
        let body = match self.body {
            RepeatBody::Payload(payload) => RequestBody::Payload(payload),
            RepeatBody::Stream(stream) => RequestBody::Stream(stream.take_back()?),
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        Some(request)
    }
}

/// Returns `true` if the upstream has reported that it has not processed the request.
///
/// # Source
/// RFC 9113 section 8.7: REFUSED_STREAM, and GOAWAY with a last stream identifier below that of the request. h2 ends only
/// these streams with the error of a GOAWAY frame.
pub(super) fn is_refused(error: &hyper::Error) -> bool {
    remote_h2_error(error)
        .is_some_and(|error| error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Returns `true` if the upstream has refused the request because it requires HTTP/1.1.
///
/// # Source
/// RFC 9113 section 7: "The endpoint requires that HTTP/1.1 be used instead of HTTP/2."
pub(super) fn requires_http1(error: &hyper::Error) -> bool {
    remote_h2_error(error).is_some_and(|error| error.reason() == Some(Reason::HTTP_1_1_REQUIRED))
}

fn remote_h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    let found = error_sources(error).find_map(|error| error.downcast_ref::<h2::Error>());
    found.filter(|error| error.is_remote())
}

/// Returns `true` if the connection was closed, in contrast to a timeout or a violation of the protocol.
pub(super) fn is_closed(error: &hyper::Error) -> bool {
    let is_end = |error: &(dyn Error + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::NotConnected
                    | ErrorKind::UnexpectedEof
            )
        })
    };
    error.is_incomplete_message() || error.is_canceled() || error_sources(error).any(is_end)
}
