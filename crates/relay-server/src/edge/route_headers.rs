//! Response headers that show the route of a request (`routing.debug`).

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};

use crate::record::{RecordHandle, RequestRecord};

const STRATEGY: HeaderName = HeaderName::from_static("x-cc-relay-strategy");
const PROVIDER: HeaderName = HeaderName::from_static("x-cc-relay-provider");
const HEALTH: HeaderName = HeaderName::from_static("x-cc-relay-health");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-cc-relay-attempts");

/// Adds headers with the route of a request that was routed, to an upstream's answer and to an error of the relay's.
pub(crate) fn with_route_headers<B>(response: Response<B>) -> Response<B> {
    let (mut head, body) = response.into_parts();
    if let Some(record) = head.extensions.get::<RecordHandle>() {
        record.read(|record| write(&mut head.headers, record));
    }
    Response::from_parts(head, body)
}

fn write(headers: &mut HeaderMap, record: &RequestRecord) {
    let Some(strategy) = record.strategy else { return };
    headers.insert(STRATEGY, HeaderValue::from_static(strategy.as_str()));
    headers.insert(ATTEMPTS, HeaderValue::from(record.attempts.len()));
    if let Some(circuit) = record.circuit {
        headers.insert(HEALTH, HeaderValue::from_static(circuit.as_str()));
    }
    if let Some(last) = record.attempts.last()
        && let Ok(name) = HeaderValue::from_str(last.provider.as_str())
    {
        headers.insert(PROVIDER, name);
    }
}
