//! Serves the routed operations: turns the answer of routing into the client's response.

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use relay_messages::{estimate_tokens, media_type};
use relay_providers::{ClientCredential, Endpoint, Outcome, RelayRequest};
use relay_routing::{
    CredentialId, Failover, LoggedRequest, PlanError, RouteError, RouteErrorKind, RouteTrace, Routed,
};
use serde_json::json;

use crate::error::Error;
use crate::intake::{ReadRequest, ReadService};
use crate::record::RecordHandle;
use crate::response::{ResponseBody, json};

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const ESTIMATED: HeaderName = HeaderName::from_static("x-cc-relay-estimated");
/// The prefix of the headers with the limits of a subscription.
const SUBSCRIPTION_LIMITS: &str = "anthropic-ratelimit-unified-";

/// Responds with the answer that the failover has routed the request to.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    failover: Failover,
}

impl Messages {
    pub(crate) fn new(failover: Failover) -> Self {
        Self { failover }
    }
}

impl ReadService for Messages {
    async fn serve(
        &self,
        ReadRequest { request, record }: ReadRequest,
    ) -> Result<Response<ResponseBody>, Error> {
        let log = record.as_ref().map(RecordHandle::attempt_log).unwrap_or_default();
        let logged = LoggedRequest::new(request.clone(), log);
        let result = self.failover.route(&logged).await;
        respond(&request, record, result)
    }
}

/// Makes the response of the result of routing `request`, and closes the route in its record.
fn respond(
    request: &RelayRequest,
    record: Option<RecordHandle>,
    result: Result<Routed, RouteError>,
) -> Result<Response<ResponseBody>, Error> {
    let is_count = request.endpoint() == Endpoint::CountTokens;
    let (answer, trace) = match result {
        Ok(Routed { answer, trace, .. }) if !is_count || is_final_count(answer.outcome) => {
            (Some(answer), trace)
        }
        Ok(Routed { trace, .. }) => (None, trace),
        Err(error) if is_count && may_estimate(&error.kind) => (None, error.trace),
        Err(error) => return Err(error.into()),
    };
    let is_upstreams = answer.is_some();
    let mut response = match answer {
        Some(answer) => answer.response.map(ResponseBody::from),
        None => estimate(request),
    };
    write_headers(response.headers_mut(), request, &trace);
    if let Some(record) = record {
        record.set_route(trace, is_upstreams);
    }
    Ok(response)
}

/// Returns `true` if the client gets an upstream's answer to `count_tokens`: a count, or a refusal of its request.
fn is_final_count(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::Refused)
}

/// Returns `true` if an estimate is better than the error, which is not the client's own mistake.
fn may_estimate(error: &RouteErrorKind) -> bool {
    match error {
        RouteErrorKind::Plan(error) => matches!(error, PlanError::Unsuitable { .. }),
        _ => true,
    }
}

/// Builds the response to `count_tokens` if no upstream has a count to give. A header marks it as an estimate.
fn estimate(request: &RelayRequest) -> Response<ResponseBody> {
    let mut response = json(StatusCode::OK, &json!({ "input_tokens": estimate_tokens(request.body()) }));
    response.headers_mut().insert(ESTIMATED, HeaderValue::from_static("true"));
    response
}

fn write_headers(headers: &mut HeaderMap, request: &RelayRequest, trace: &RouteTrace) {
    if media_type::is(headers, media_type::EVENTS) {
        // Neither a cache nor nginx may buffer events.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    let has_subscription = request.client_credential().is_some_and(ClientCredential::is_subscription);
    let answered_with = trace.attempts.last().map(|attempt| &attempt.credential);
    if has_subscription && answered_with != Some(&CredentialId::Client) {
        // They are the limits of another plan, which Claude Code would show as its user's.
        let limits: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with(SUBSCRIPTION_LIMITS)).cloned().collect();
        for name in limits {
            headers.remove(name);
        }
    }
}
