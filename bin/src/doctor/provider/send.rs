//! The smallest possible request, through the relay and the whole way of the traffic.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use relay_config::ProviderConfig;
use relay_server::Relay;
use relay_server::check::ProviderCheck;
use serde_json::{Value, json};
use std::time::Instant;
use tower::ServiceExt;

use super::context::Context;
use crate::doctor::check::Check;

const NAME: &str = "request";
/// The model of the request, if the configuration names none.
const MODEL: &str = "claude-haiku-4-5";
/// The largest answer that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Sends a request for one token, if the command line demands it. The upstream is the only one of `relay`.
pub(super) async fn check(
    context: &Context,
    provider: &ProviderConfig,
    relay: &Relay,
    found: &ProviderCheck,
) -> Option<Check> {
    if !context.sends {
        return None;
    }
    if found.credentials.iter().any(|credential| credential.name == "client") && provider.keys.is_empty() {
        return Some(Check::skip(NAME, "the provider has no credential of its own"));
    }
    let model = model(provider, found);
    let start = Instant::now();
    let answer = tokio::time::timeout(context.limit, send(relay.clone(), &model)).await;
    let check = match answer {
        Err(_) => {
            let text = format!("{model}: no answer within {} s", context.limit.as_secs());
            Check::fail(NAME, text, "check that the upstream works; --timeout allows it more time")
        }
        Ok(Ok(_)) => Check::ok(NAME, format!("{model}: answered")),
        Ok(Err(reason)) => Check::fail(
            NAME,
            format!("{model}: {reason}"),
            "see the checks above; the upstream gives the reason",
        ),
    };
    Some(check.with_time(start.elapsed()))
}

/// Returns a name that clients use for a model of the provider.
fn model(provider: &ProviderConfig, found: &ProviderCheck) -> String {
    let exact = |name: &&String| !name.contains('*');
    let listed = || provider.models.iter().find(exact).cloned();
    let mapped = || provider.model_mapping.names().next().map(str::to_owned);
    let is_mapped = || provider.model_mapping.lookup(MODEL).map(|_| MODEL.to_owned());
    let reports = || found.credentials.iter().filter_map(|credential| credential.report.as_ref());
    let upstreams = || {
        let models =
            reports().filter_map(|report| report.answer.as_ref()?.as_ref().ok()?.models.as_ref()).next()?;
        let small = models.iter().find(|model| model.contains("haiku"));
        small.or(models.first()).cloned()
    };
    listed().or_else(mapped).or_else(is_mapped).or_else(upstreams).unwrap_or_else(|| MODEL.to_owned())
}

/// Sends a request for one token, and returns the reason that it failed.
async fn send(relay: Relay, model: &str) -> Result<(), String> {
    let body = json!({ "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
    let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("http://localhost/v1/messages");
    let headers = request.headers_mut();
    headers.insert(HOST, http::HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    let Ok(response) = relay.oneshot(request).await;
    let status = response.status();
    let body = Limited::new(response.into_body(), LIMIT).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    match status {
        StatusCode::OK => Ok(()),
        status => Err(format!("{}: {}", status.as_u16(), message(&body))),
    }
}

fn message(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["error"]["message"].as_str().unwrap_or("the answer has no message").to_owned()
}
