//! How an answer came about, for those who look at its headers.

use http::Response;
use http::header::{HeaderName, HeaderValue};
use relay_routing::Trail;

const STRATEGY: HeaderName = HeaderName::from_static("x-cc-relay-strategy");
const PROVIDER: HeaderName = HeaderName::from_static("x-cc-relay-provider");
const HEALTH: HeaderName = HeaderName::from_static("x-cc-relay-health");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-cc-relay-attempts");

/// Adds what is known of how `response` came about, whether an upstream or the relay itself has made it.
pub(crate) fn with_trail_headers<B>(mut response: Response<B>) -> Response<B> {
    let Some(trail) = response.extensions().get::<Trail>().cloned() else { return response };
    let headers = response.headers_mut();
    headers.insert(STRATEGY, HeaderValue::from_static(trail.strategy.as_str()));
    headers.insert(ATTEMPTS, HeaderValue::from(trail.attempts.len()));
    if let Some(health) = trail.health {
        headers.insert(HEALTH, HeaderValue::from_static(health.as_str()));
    }
    if let Some(last) = trail.attempts.last()
        && let Ok(name) = HeaderValue::from_str(last.provider.as_str())
    {
        headers.insert(PROVIDER, name);
    }
    response
}
