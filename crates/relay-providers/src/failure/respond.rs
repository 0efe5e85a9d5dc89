//! Writes the response that the client gets for a failure.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, response};
use relay_messages::{ApiError, error_body, retry_after};

use super::meaning::X_SHOULD_RETRY;
use super::{Judgement, UpstreamError, anthropic};
use crate::outcome::Outcome;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The headers in which upstreams name a request: Anthropic, AWS, Azure's gateway.
const UPSTREAM_IDS: [&str; 3] = ["request-id", "x-amzn-requestid", "apim-request-id"];

/// Returns the body for `error`, and writes its status and the headers of the new body into `head`. Body and head get the
/// same request id: the upstream's, under Anthropic's name, or else `own_id`.
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

/// Writes into `headers` the time after which the client may retry, if it is known, or that a retry is of no use.
pub(crate) fn write_retry(headers: &mut HeaderMap, error: &UpstreamError, judgement: &Judgement) {
    let status = judgement.api_error.as_ref().map_or(error.status(), |error| error.status);
    let is_final = match judgement.outcome {
        Outcome::RateLimited { .. } => anthropic::is_spend_cap(error),
        // Without the header, clients would repeat a request that needs more memory or another plan.
        Outcome::ModelUnavailable => status.is_server_error(),
        _ => false,
    };
    if is_final {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    retry_after::write(headers, judgement.retry_after);
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::Value;

    use super::super::testing::{self, Headers};
    use super::*;

    #[test]
    fn an_error_has_the_same_id_in_its_body_and_in_its_head() {
        #[track_caller]
        fn check(headers: Headers<'_>, own_id: Option<&str>, expected: Option<&str>) {
            let mut head = testing::head(502, headers);
            let error = ApiError::new(StatusCode::BAD_GATEWAY, "api_error", "x");
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
}
