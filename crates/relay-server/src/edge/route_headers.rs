//! How an answer came about, for those who look at its headers.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use relay_routing::RouteTrace;

const STRATEGY: HeaderName = HeaderName::from_static("x-cc-relay-strategy");
const PROVIDER: HeaderName = HeaderName::from_static("x-cc-relay-provider");
const HEALTH: HeaderName = HeaderName::from_static("x-cc-relay-health");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-cc-relay-attempts");

/// Adds what is known of how `response` came about, whether an upstream or the relay itself has made it.
pub(crate) fn with_route_headers<B>(response: Response<B>) -> Response<B> {
    let (mut head, body) = response.into_parts();
    if let Some(trace) = head.extensions.get::<RouteTrace>() {
        write(&mut head.headers, trace);
    }
    Response::from_parts(head, body)
}

fn write(headers: &mut HeaderMap, trace: &RouteTrace) {
    headers.insert(STRATEGY, HeaderValue::from_static(trace.strategy.as_str()));
    headers.insert(ATTEMPTS, HeaderValue::from(trace.attempts.len()));
    if let Some(circuit) = trace.circuit {
        headers.insert(HEALTH, HeaderValue::from_static(circuit.as_str()));
    }
    if let Some(last) = trace.attempts.last()
        && let Ok(name) = HeaderValue::from_str(last.provider.as_str())
    {
        headers.insert(PROVIDER, name);
    }
}
