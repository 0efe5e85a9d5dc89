//! What upstreams that speak the Messages API themselves have in common.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, response};
use relay_config::{BaseUrl, Secret};
use relay_messages::{
    ApiError, OVERLOADED_STATUS, Payload, RateLimits, error_body, headers,
    retry_after::{self, RETRY_AFTER_MS},
};
use serde_json::Value;

use crate::answer::{LimitScope, Outcome};
use crate::failure::Reason;
use crate::provider::{AuthorizeError, PrepareError};
use crate::request::Attempt;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where upstreams say how they call a request: Anthropic, AWS, Azure's gateway.
const UPSTREAM_IDS: [&str; 3] = ["request-id", "x-amzn-requestid", "apim-request-id"];

/// `error.details.error_code` of a 429 that no waiting ends: money is what is used up (platform.claude.com/docs,
/// "Errors").
const SPEND_CAPS: [&str; 3] =
    ["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"];
/// When a key is looked at again whose money is used up. Somebody has to raise the cap, or a month has to end.
const SPEND_CAP_PAUSE: Duration = Duration::from_secs(60 * 60);
/// A 429 that is about the size of this one request.
const LONG_CONTEXT: &str = "Extra usage is required for long context requests";

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
    *upstream.headers_mut() = attempt.headers();
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

/// What an answer means by Anthropic's table of errors. `error` is the body of one that is no success.
pub(crate) fn classify(head: &response::Parts, error: &[u8]) -> Outcome {
    match head.status.as_u16() {
        200..=299 => Outcome::Success,
        401..=403 => Outcome::CredentialRejected,
        404 => Outcome::ModelUnavailable,
        408 => Outcome::Failed,
        429 => limited(&head.headers, &Reason::read(error)),
        OVERLOADED_STATUS => Outcome::Overloaded { retry_after: retry_after::from_headers(&head.headers) },
        // Neither is a failure of the upstream: it does not do what the request asks for.
        501 | 505 => Outcome::Refused,
        // Whatever the status, the error's own word for it counts.
        500..=599 if Reason::read(error).kind.as_deref() == Some("overloaded_error") => {
            Outcome::Overloaded { retry_after: retry_after::from_headers(&head.headers) }
        }
        500..=599 => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

/// The body for `error`, with its status and what goes with the new body in `head`. It has the id that `head` gets too:
/// the upstream's, under Anthropic's name, or else `own_id`.
pub(crate) fn write_error(error: &ApiError, own_id: Option<&str>, head: &mut response::Parts) -> Bytes {
    let upstreams = UPSTREAM_IDS.iter().find_map(|name| head.headers.get(*name)).cloned();
    let id = upstreams.or_else(|| HeaderValue::from_str(own_id?).ok());
    let body = error_body(error.kind, &error.message, id.as_ref().and_then(|id| id.to_str().ok()));
    head.status = error.status;
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(id) = id {
        head.headers.insert(REQUEST_ID, id);
    }
    body
}

/// Whether `body` is an error as Anthropic's API writes it.
pub(crate) fn is_anthropic_error(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    body["type"] == "error" && body["error"]["type"].is_string()
}

/// Whether a 429 means that money is used up, so that asking again is of no use.
pub(crate) fn is_spend_cap(reason: &Reason) -> bool {
    reason.code.as_deref().is_some_and(|code| SPEND_CAPS.contains(&code))
}

/// Tells the client not to ask again.
pub(crate) fn forbid_retry(headers: &mut HeaderMap) {
    headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
}

/// A 429 that names no limit, or asks for a plain retry, says nothing about the key.
fn limited(headers: &HeaderMap, reason: &Reason) -> Outcome {
    if is_spend_cap(reason) {
        return Outcome::RateLimited { retry_after: Some(SPEND_CAP_PAUSE), scope: LimitScope::Key };
    }
    let message = reason.message.as_deref().unwrap_or_default();
    let retry_after = retry_after::from_headers(headers)
        .or_else(|| RateLimits::read(headers).exhausted_for())
        .or_else(|| retry_after::from_phrase(message));
    let names_limit = retry_after.is_some()
        || headers.contains_key(header::RETRY_AFTER)
        || headers.contains_key(RETRY_AFTER_MS)
        || headers.keys().any(|name| name.as_str().starts_with("anthropic-ratelimit-"));
    let is_of_request = headers.get(X_SHOULD_RETRY).is_some_and(|value| value == "true")
        || message.starts_with(LONG_CONTEXT)
        || !names_limit;
    let scope = if is_of_request { LimitScope::Request } else { LimitScope::Key };
    Outcome::RateLimited { retry_after, scope }
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};

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
            assert_eq!(classify(&head(status, headers), b""), expected, "{status}");
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
        let overloaded = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        for status in [500, 503] {
            let expected = Outcome::Overloaded { retry_after: None };
            assert_eq!(classify(&head(status, &[]), overloaded), expected, "{status}");
        }
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
    fn a_limit_is_as_long_and_as_wide_as_the_upstream_says() {
        #[track_caller]
        fn check(headers: &[(&'static str, &str)], error: &str, retry_after: Option<u64>, scope: LimitScope) {
            let expected = Outcome::RateLimited { retry_after: retry_after.map(Duration::from_secs), scope };
            assert_eq!(classify(&head(429, headers), error.as_bytes()), expected, "{error}");
        }
        let error = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        check(&[], "<html>", None, LimitScope::Request);
        check(&[], &error("Please try again in 20s."), Some(20), LimitScope::Key);
        check(&[("retry-after", "7")], &error("Please try again in 20s."), Some(7), LimitScope::Key);
        let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        let used_up = ("anthropic-ratelimit-tokens-remaining", "0");
        let reset = ("anthropic-ratelimit-tokens-reset", "2026-11-22T12:00:09Z");
        check(&[date, used_up, reset], "", Some(9), LimitScope::Key);
        let long = error("Extra usage is required for long context requests.");
        check(&[date, used_up, reset], &long, Some(9), LimitScope::Request);
        for code in SPEND_CAPS {
            let cap =
                format!(r#"{{"type":"error","error":{{"type":"t","details":{{"error_code":"{code}"}}}}}}"#);
            check(&[], &cap, Some(3600), LimitScope::Key);
            assert!(is_spend_cap(&Reason::read(cap.as_bytes())));
        }
    }

    #[test]
    fn an_error_has_the_same_id_in_its_body_and_in_its_head() {
        #[track_caller]
        fn check(headers: &[(&'static str, &str)], own_id: Option<&str>, expected: Option<&str>) {
            let mut head = head(502, headers);
            let error = ApiError { status: StatusCode::BAD_GATEWAY, kind: "api_error", message: "x".into() };
            let body = write_error(&error, own_id, &mut head);
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["request_id"].as_str(), expected, "{headers:?}");
            assert_eq!(head.headers.get("request-id").map(|id| id.to_str().unwrap()), expected);
        }
        check(&[], None, None);
        check(&[], Some("req_own"), Some("req_own"));
        check(&[("apim-request-id", "a")], Some("req_own"), Some("a"));
        check(&[("x-amzn-requestid", "b"), ("apim-request-id", "a")], None, Some("b"));
        check(&[("x-amzn-requestid", "b"), ("request-id", "c")], Some("req_own"), Some("c"));
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
