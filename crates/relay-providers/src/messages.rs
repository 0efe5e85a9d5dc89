//! What upstreams that speak the Messages API themselves have in common.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, response};
use relay_config::{BaseUrl, Secret};
use serde::Serialize;
use serde_json::Value;

use crate::answer::{LimitScope, Outcome};
use crate::body::Payload;
use crate::headers;
use crate::limits::RateLimits;
use crate::provider::{ApiError, AuthorizeError, PrepareError};
use crate::request::Attempt;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Anthropic's status for lack of capacity; no standard has it.
const OVERLOADED: u16 = 529;

/// A key in the form in which an upstream takes it. Prints nothing of it.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    name: HeaderName,
    value: HeaderValue,
}

impl ApiKey {
    /// As `x-api-key: KEY`.
    pub(crate) fn plain(key: &Secret) -> Result<Self, AuthorizeError> {
        Self::new(X_API_KEY, key.expose())
    }

    /// As `authorization: Bearer KEY`.
    pub(crate) fn bearer(key: &Secret) -> Result<Self, AuthorizeError> {
        Self::new(AUTHORIZATION, &format!("Bearer {}", key.expose()))
    }

    fn new(name: HeaderName, text: &str) -> Result<Self, AuthorizeError> {
        let mut value = HeaderValue::from_str(text).map_err(|_| AuthorizeError::Malformed)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    /// Adds the key, and takes away what would tell the upstream to look for another kind of credential.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers::remove_oauth_beta(headers);
        headers.insert(self.name.clone(), self.value.clone());
    }
}

/// The request for `attempt` behind `base_url`, without a credential: the client's query, headers and body.
pub(crate) fn prepare(base_url: &BaseUrl, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
    let client = attempt.request();
    let uri = uri(base_url, client.endpoint().path(), client.query())?;
    Ok(request(uri, attempt))
}

/// The request for `attempt` at `uri`, without a credential: the client's headers and body.
pub(crate) fn request(uri: Uri, attempt: &Attempt) -> Request<Payload> {
    let mut upstream = Request::new(attempt.payload());
    *upstream.method_mut() = Method::POST;
    *upstream.uri_mut() = uri;
    *upstream.headers_mut() = headers::for_upstream(attempt.request().headers());
    upstream
        .headers_mut()
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    upstream
}

/// `base_url` with `path` and `query` behind it.
pub(crate) fn uri(base_url: &BaseUrl, path: &str, query: Option<&str>) -> Result<Uri, PrepareError> {
    let separator = if query.is_some() { "?" } else { "" };
    let path = format!("{}{path}{separator}{}", base_url.path(), query.unwrap_or_default());
    let path = PathAndQuery::try_from(path).map_err(|error| PrepareError::Url(error.into()))?;
    Uri::builder()
        .scheme(base_url.scheme().clone())
        .authority(base_url.authority().clone())
        .path_and_query(path)
        .build()
        .map_err(PrepareError::Url)
}

/// What an answer means by Anthropic's table of errors.
pub(crate) fn classify(head: &response::Parts) -> Outcome {
    match head.status.as_u16() {
        200..=299 => Outcome::Success,
        401..=403 => Outcome::CredentialRejected,
        404 => Outcome::ModelUnavailable,
        408 => Outcome::Failed,
        429 => Outcome::RateLimited {
            retry_after: retry_after(&head.headers)
                .or_else(|| RateLimits::read(&head.headers).exhausted_for()),
            scope: limit_scope(&head.headers),
        },
        OVERLOADED => Outcome::Overloaded { retry_after: retry_after(&head.headers) },
        // Neither is a failure of the upstream: it does not do what the request asks for.
        501 | 505 => Outcome::Refused,
        500..=599 => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

/// An error as Anthropic's API writes it: `{"type":"error","error":{"type","message"},"request_id"}`.
#[must_use]
pub fn error_body(kind: &str, message: &str, request_id: Option<&str>) -> Bytes {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        error: Error<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'a str,
        message: &'a str,
    }
    let body = Body { r#type: "error", error: Error { r#type: kind, message }, request_id };
    // Strings alone, which can always be written.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// The body for `error`, with its status and what goes with the new body in `head`.
pub(crate) fn write_error(error: &ApiError, head: &mut response::Parts) -> Bytes {
    let request_id = ["request-id", "x-amzn-requestid", "apim-request-id"]
        .iter()
        .find_map(|name| head.headers.get(*name)?.to_str().ok());
    let body = error_body(error.kind, &error.message, request_id);
    head.status = error.status;
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    body
}

/// Whether `body` is an error as Anthropic's API writes it.
pub(crate) fn is_anthropic_error(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    body["type"] == "error" && body["error"]["type"].is_string()
}

/// The `error.type` that goes with a status (platform.claude.com/docs, "Errors").
#[must_use]
pub fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | OVERLOADED => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// A 429 that names no limit, or asks for a plain retry, says nothing about the key.
fn limit_scope(headers: &HeaderMap) -> LimitScope {
    let asks_for_retry = headers.get(X_SHOULD_RETRY).is_some_and(|value| value == "true");
    let names_limit = headers.contains_key(header::RETRY_AFTER)
        || headers.contains_key(RETRY_AFTER_MS)
        || headers.keys().any(|name| name.as_str().starts_with("anthropic-ratelimit-"));
    if asks_for_retry || !names_limit { LimitScope::Request } else { LimitScope::Key }
}

/// `retry-after-ms`, else `retry-after` in seconds, whole or not, or as a date, which counts from the answer's own.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    if let Some(milliseconds) = text(RETRY_AFTER_MS).and_then(number) {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    let value = text(header::RETRY_AFTER)?;
    if let Some(seconds) = number(value) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(status: u16, headers: &[(&'static str, &str)]) -> response::Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_status_has_one_meaning() {
        #[track_caller]
        fn check(status: u16, headers: &[(&'static str, &str)], expected: Outcome) {
            assert_eq!(classify(&head(status, headers)), expected, "{status}");
        }
        check(200, &[], Outcome::Success);
        for status in [400, 405, 409, 412, 413, 422, 499, 501, 505] {
            check(status, &[], Outcome::Refused);
        }
        for status in [401, 402, 403] {
            check(status, &[], Outcome::CredentialRejected);
        }
        check(404, &[], Outcome::ModelUnavailable);
        for status in [408, 500, 502, 503, 504, 520] {
            check(status, &[], Outcome::Failed);
        }
        check(
            529,
            &[("retry-after", "3")],
            Outcome::Overloaded { retry_after: Some(Duration::from_secs(3)) },
        );
        let limited = |retry_after, scope| Outcome::RateLimited { retry_after, scope };
        check(429, &[], limited(None, LimitScope::Request));
        check(429, &[("retry-after", "7")], limited(Some(Duration::from_secs(7)), LimitScope::Key));
        check(429, &[("anthropic-ratelimit-requests-remaining", "0")], limited(None, LimitScope::Key));
        check(
            429,
            &[("anthropic-ratelimit-requests-limit", "50"), ("x-should-retry", "true")],
            limited(None, LimitScope::Request),
        );
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        #[track_caller]
        fn check(headers: &[(&'static str, &str)], expected: Option<Duration>) {
            assert_eq!(retry_after(&head(429, headers).headers), expected);
        }
        check(&[], None);
        check(&[("retry-after", "12")], Some(Duration::from_secs(12)));
        check(&[("retry-after", " 0.5 ")], Some(Duration::from_millis(500)));
        check(&[("retry-after", "9"), ("retry-after-ms", "250")], Some(Duration::from_millis(250)));
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "1e300")], None);
        check(&[("retry-after", "soon")], None);
        let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        check(&[("retry-after", "Sun, 22 Nov 2026 12:01:30 GMT"), date], Some(Duration::from_secs(90)));
        check(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT"), date], Some(Duration::ZERO));
    }

    #[test]
    fn a_url_is_base_path_and_query() {
        #[track_caller]
        fn check(base: &str, query: Option<&str>, expected: &str) {
            let base = BaseUrl::parse(base).unwrap();
            assert_eq!(uri(&base, "/v1/messages", query).unwrap().to_string(), expected);
        }
        check(
            "https://api.anthropic.com",
            Some("beta=true"),
            "https://api.anthropic.com/v1/messages?beta=true",
        );
        check("https://api.z.ai/api/anthropic/", None, "https://api.z.ai/api/anthropic/v1/messages");
        check("http://[::1]:11434", None, "http://[::1]:11434/v1/messages");
    }
}
