//! The span of a request.
//!
//! Every event within a request, also one of a library, carries the request's id, method and route. An attempt at an upstream
//! has a span of its own within it, which relay-routing opens, and in which it ends the body of an answer. The relay's own
//! bodies log nothing. A body from the layers of a program is polled in the span of its request.

use std::task::{Context, Poll};

use http::Request;
use relay_messages::cut;
use tower::{Layer, Service};
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

use crate::request_id::RequestId;
use crate::router::route_name;

/// Runs each request in a span. It logs no events and reads no clock: the record has the facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// The service of [`TraceLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Trace<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = span(&request);
        let response = span.in_scope(|| self.inner.call(request));
        response.instrument(span)
    }
}

/// Makes the span of a request. Its level is `error`, so that an event of any enabled level carries it.
fn span<B>(request: &Request<B>) -> Span {
    tracing::error_span!(
        "request",
        request_id = request.extensions().get().map(RequestId::as_str),
        method = &*cut(request.method().as_str()),
        route = route_name(request.uri().path()),
    )
}
