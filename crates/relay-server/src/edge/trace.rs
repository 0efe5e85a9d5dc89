//! The span of a request.
//!
//! Every event within a request, also one of a library, carries the request's id, method and route. An attempt at an upstream
//! has a span of its own within it, which relay-routing opens.

use http::Request;
use relay_messages::cut;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{MakeSpan, TraceLayer};
use tracing::Span;

use crate::request_id::RequestId;
use crate::router::route_name;

/// Runs each request, and the body of its response, in a [`RequestSpan`]. It logs no events: the record has the facts.
pub(crate) fn trace_layer()
-> TraceLayer<SharedClassifier<ServerErrorsAsFailures>, RequestSpan, (), (), (), (), ()> {
    TraceLayer::new_for_http()
        .make_span_with(RequestSpan)
        .on_request(())
        .on_response(())
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

/// Makes the span of a request. Its level is `error`, so that an event of any enabled level carries it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestSpan;

impl<B> MakeSpan<B> for RequestSpan {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        tracing::error_span!(
            "request",
            request_id = request.extensions().get().map(RequestId::as_str),
            method = &*cut(request.method().as_str()),
            route = route_name(request.uri().path()),
        )
    }
}
