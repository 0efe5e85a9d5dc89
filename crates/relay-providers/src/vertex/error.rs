//! Errors of Google's: plain, in an array (as a stream's are), or a page. The models' own are Anthropic's and never
//! come here to be translated.
//!
//! # Source
//! google.rpc.Status and its codes; public reports of what Vertex answers for Claude.

use std::time::Duration;

use http::{StatusCode, response};
use relay_messages::{ApiError, error_type, retry_after};
use serde_json::Value;

use crate::answer::{LimitScope, Outcome};
use crate::messages;

/// `google.rpc.Status` in JSON.
struct GoogleError {
    /// The name of its code, such as `RESOURCE_EXHAUSTED`.
    status: String,
    message: String,
    /// `RetryInfo` among the details.
    retry_after: Option<Duration>,
}

impl GoogleError {
    fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get(0).unwrap_or(&body).get("error")?;
        let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
        let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str()?.strip_suffix('s'));
        Some(Self {
            status: error.get("status")?.as_str()?.to_owned(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            retry_after: delay.and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok()),
        })
    }
}

/// The message of a model that cannot count, which is no fault of the request's.
const CANNOT_COUNT: &str = "not supported for token counting";

pub(super) fn classify(head: &response::Parts, body: &[u8]) -> Outcome {
    let Some(error) = GoogleError::parse(body) else { return messages::classify(head, body) };
    let retry_after = retry_after::from_headers(&head.headers).or(error.retry_after);
    match error.status.as_str() {
        "RESOURCE_EXHAUSTED" => {
            let scope = if retry_after.is_some() { LimitScope::Key } else { LimitScope::Request };
            Outcome::RateLimited { retry_after, scope }
        }
        "UNAVAILABLE" => Outcome::Overloaded { retry_after },
        "PERMISSION_DENIED" | "UNAUTHENTICATED" => Outcome::CredentialRejected,
        // The second is what a region says of a model that it does not serve.
        "NOT_FOUND" | "FAILED_PRECONDITION" => Outcome::ModelUnavailable,
        "INVALID_ARGUMENT" if error.message.contains(CANNOT_COUNT) => Outcome::Unsupported,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => Outcome::Refused,
        "INTERNAL" | "DEADLINE_EXCEEDED" | "ABORTED" | "UNKNOWN" => Outcome::Failed,
        _ => messages::classify(head, body),
    }
}

pub(super) fn translate(model: &str, region: &str, head: &response::Parts, body: &[u8]) -> Option<ApiError> {
    let advice = format!(
        "model: Vertex AI does not serve `{model}` in `{region}`; newer models are in `global`, `us` and `eu` alone \
         (gcp_region), each has to be enabled in Model Garden, and the name is Vertex's own"
    );
    let Some(error) = GoogleError::parse(body) else {
        // A path that Google does not know is answered with a page.
        return (head.status == StatusCode::NOT_FOUND).then_some(ApiError {
            status: head.status,
            kind: "not_found_error",
            message: advice,
        });
    };
    let (status, kind) = match error.status.as_str() {
        "RESOURCE_EXHAUSTED" => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        "UNAVAILABLE" => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error"),
        "PERMISSION_DENIED" => (StatusCode::FORBIDDEN, "permission_error"),
        "UNAUTHENTICATED" => (StatusCode::UNAUTHORIZED, "authentication_error"),
        "NOT_FOUND" | "FAILED_PRECONDITION" => (StatusCode::NOT_FOUND, "not_found_error"),
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        "DEADLINE_EXCEEDED" => (StatusCode::GATEWAY_TIMEOUT, "timeout_error"),
        _ => (head.status, error_type(head.status)),
    };
    let message = match (kind, error.message.is_empty()) {
        ("not_found_error", true) => advice,
        ("not_found_error", false) => format!("{advice} ({})", error.message),
        (_, true) => format!("Vertex AI answered {}", error.status),
        (_, false) => error.message,
    };
    Some(ApiError { status, kind, message })
}

#[cfg(test)]
mod tests {
    use http::Response;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_of_googles_errors_has_its_meaning() {
        #[track_caller]
        fn check(status: u16, code: &str, outcome: Outcome, expected: (u16, &str)) {
            let head = Response::builder().status(status).body(()).unwrap().into_parts().0;
            let error = json!({"error": {"code": status, "message": "Google's words.", "status": code}});
            for body in [error.to_string(), json!([error]).to_string()] {
                assert_eq!(classify(&head, body.as_bytes()), outcome, "{code}");
                let found = translate("m", "eu", &head, body.as_bytes()).unwrap();
                assert_eq!((found.status.as_u16(), found.kind), expected, "{code}");
                assert!(found.message.contains("Google's words."), "{code}");
            }
        }
        let limited = Outcome::RateLimited { retry_after: None, scope: LimitScope::Request };
        check(429, "RESOURCE_EXHAUSTED", limited, (429, "rate_limit_error"));
        check(503, "UNAVAILABLE", Outcome::Overloaded { retry_after: None }, (503, "overloaded_error"));
        check(403, "PERMISSION_DENIED", Outcome::CredentialRejected, (403, "permission_error"));
        check(401, "UNAUTHENTICATED", Outcome::CredentialRejected, (401, "authentication_error"));
        check(404, "NOT_FOUND", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(400, "FAILED_PRECONDITION", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(400, "INVALID_ARGUMENT", Outcome::Refused, (400, "invalid_request_error"));
        check(500, "INTERNAL", Outcome::Failed, (500, "api_error"));
        check(504, "DEADLINE_EXCEEDED", Outcome::Failed, (504, "timeout_error"));
        check(499, "CANCELLED", Outcome::Refused, (499, "invalid_request_error"));
    }

    #[test]
    fn googles_words_and_times_are_kept() {
        let head = |status: u16| Response::builder().status(status).body(()).unwrap().into_parts().0;
        let long = br#"[{"error":{"code":400,"message":"prompt is too long: 250000 tokens > 200000 maximum","status":"INVALID_ARGUMENT"}}]"#;
        let found = translate("m", "eu", &head(400), long).unwrap();
        assert_eq!(found.message, "prompt is too long: 250000 tokens > 200000 maximum");

        let limited = br#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}"#;
        let retry_after = Some(Duration::from_millis(1500));
        assert_eq!(
            classify(&head(429), limited),
            Outcome::RateLimited { retry_after, scope: LimitScope::Key }
        );
        let count =
            br#"{"error":{"status":"INVALID_ARGUMENT","message":"m is not supported for token counting."}}"#;
        assert_eq!(classify(&head(400), count), Outcome::Unsupported);
    }

    #[test]
    fn a_page_says_no_more_than_its_status() {
        let head = |status: u16| Response::builder().status(status).body(()).unwrap().into_parts().0;
        assert_eq!(classify(&head(404), b"<!DOCTYPE html>"), Outcome::ModelUnavailable);
        let found = translate("m", "us-east5", &head(404), b"<!DOCTYPE html>").unwrap();
        assert_eq!(found.kind, "not_found_error");
        assert!(
            found.message.contains("`us-east5`") && found.message.contains("global"),
            "{}",
            found.message
        );
        assert_eq!(classify(&head(502), b"<html>"), Outcome::Failed);
        assert_eq!(translate("m", "eu", &head(502), b"<html>"), None);
        for odd in ["[]", "[[]]", "{}", r#"{"error":"x"}"#, r#"{"error":{"status":5}}"#] {
            assert_eq!(classify(&head(500), odd.as_bytes()), Outcome::Failed, "{odd}");
        }
    }
}
