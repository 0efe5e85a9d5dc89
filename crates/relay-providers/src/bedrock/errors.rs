//! What Bedrock's errors mean, for routing and for the client.

use std::borrow::Cow;

use http::header::HeaderName;
use http::{StatusCode, response};
use relay_messages::{ApiError, error_type, retry_after};
use relay_stream::bedrock::{anthropic_error_type, anthropic_message};
use serde_json::Value;

use crate::answer::{LimitScope, Outcome};
use crate::messages;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Names of errors that say that the credential is not accepted, without their suffix `Exception`.
const CREDENTIAL: [&str; 8] = [
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "UnrecognizedClient",
];

/// Those after which a newer credential of the same source may be accepted.
const RENEWABLE: [&str; 3] = ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"];

/// What the name of an error does not tell, but its text does. All are matched without case.
const BY_TEXT: [(&str, Outcome, Option<&str>); 4] = [
    (
        "on-demand throughput isn",
        Outcome::ModelUnavailable,
        Some("map the model to an inference profile, such as us.{model}, in model_mapping"),
    ),
    (
        "model identifier is invalid",
        Outcome::ModelUnavailable,
        Some("`{model}` is no id of Bedrock's: map the model to one in model_mapping"),
    ),
    (
        "access to the model with the specified model id",
        Outcome::ModelUnavailable,
        Some("enable `{model}` for this account and region in the Bedrock console"),
    ),
    // Some models have no CountTokens.
    ("t support counting tokens", Outcome::Unsupported, None),
];

/// An error as AWS's JSON protocols write it.
struct AwsError<'a> {
    /// Without namespace, URL and suffix.
    name: Cow<'a, str>,
    message: Option<String>,
}

/// What the answer means for routing.
pub(super) fn classify(head: &response::Parts, body: &[u8]) -> Outcome {
    let by_status = messages::classify(head, body);
    if head.status.is_success() {
        return by_status;
    }
    let error = read(head, body);
    if let Some((_, outcome, _)) = error.by_text() {
        return *outcome;
    }
    let retry_after = retry_after::from_headers(&head.headers);
    match &*error.name {
        name if CREDENTIAL.contains(&name) => Outcome::CredentialRejected,
        // AWS names no limit and no time.
        "Throttling" | "TooManyRequests" | "ServiceQuotaExceeded" => {
            Outcome::RateLimited { retry_after, scope: LimitScope::Request }
        }
        "ModelNotReady" | "ServiceUnavailable" => Outcome::Overloaded { retry_after },
        "ModelTimeout" | "ModelError" | "ModelStreamError" | "InternalServer" | "InternalFailure" => {
            Outcome::Failed
        }
        "ResourceNotFound" => Outcome::ModelUnavailable,
        "Validation" => Outcome::Refused,
        _ => by_status,
    }
}

/// The answer in Anthropic's words; `None` for what is not AWS's.
pub(super) fn translate(model: &str, head: &response::Parts, body: &[u8]) -> Option<ApiError> {
    let error = read(head, body);
    if error.name.is_empty() && error.message.is_none() {
        return None;
    }
    let kind = match &*error.name {
        "" => error_type(head.status),
        "TooManyRequests" => "rate_limit_error",
        name if CREDENTIAL.contains(&name) => "permission_error",
        name => match anthropic_error_type(name) {
            // Also what every unknown name is: the status says more.
            "api_error" if head.status.is_client_error() && head.status != StatusCode::FAILED_DEPENDENCY => {
                error_type(head.status)
            }
            kind => kind,
        },
    };
    let message = error.message.as_deref().unwrap_or(&error.name);
    let mut message = anthropic_message(message).into_owned();
    if let Some((_, _, Some(advice))) = error.by_text() {
        message = format!("{message} ({})", advice.replace("{model}", model));
    }
    Some(ApiError { status: status(kind, head.status), kind, message })
}

/// Whether a newer credential may be accepted in the place of this one.
pub(super) fn asks_for_new_credential(head: &response::Parts, body: &[u8]) -> bool {
    RENEWABLE.contains(&&*read(head, body).name)
}

/// The status that clients expect with `kind`: they decide by it whether to ask again.
fn status(kind: &str, found: StatusCode) -> StatusCode {
    match kind {
        "permission_error" => StatusCode::FORBIDDEN,
        "not_found_error" => StatusCode::NOT_FOUND,
        "timeout_error" => StatusCode::REQUEST_TIMEOUT,
        "rate_limit_error" => StatusCode::TOO_MANY_REQUESTS,
        "overloaded_error" => StatusCode::SERVICE_UNAVAILABLE,
        // 424 is Bedrock's own way to say that the model failed.
        "api_error" if !found.is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
        _ => found,
    }
}

/// The name stands in a header, or else in the body.
fn read<'a>(head: &'a response::Parts, body: &[u8]) -> AwsError<'a> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let header = head.headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
    let name = match header {
        Some(name) => Cow::Borrowed(stem(name)),
        None => {
            let name = text("code").or_else(|| text("__type")).unwrap_or_default();
            Cow::Owned(stem(&name).to_owned())
        }
    };
    AwsError { name, message: text("message").or_else(|| text("Message")) }
}

impl AwsError<'_> {
    fn by_text(&self) -> Option<&'static (&'static str, Outcome, Option<&'static str>)> {
        let message = self.message.as_deref()?.to_ascii_lowercase();
        BY_TEXT.iter().find(|(text, ..)| message.contains(text))
    }
}

/// `Throttling` of `com.amazon.coral#ThrottlingException:http://internal.amazon.com/`.
fn stem(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    name.strip_suffix("Exception").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const LIMITED: Outcome = Outcome::RateLimited { retry_after: None, scope: LimitScope::Request };

    fn head(status: u16, name: &str) -> response::Parts {
        let mut response = Response::builder().status(status);
        if !name.is_empty() {
            response = response.header(ERROR_TYPE, name);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn every_error_has_its_meaning() {
        #[track_caller]
        fn check(status: u16, name: &str, outcome: Outcome, expected: (u16, &str)) {
            let message = br#"{"message":"why"}"#;
            let expected = (expected.0, expected.1, "why");
            for name in [name.to_owned(), format!("{name}:http://internal.amazon.com/coral/")] {
                let head = head(status, &name);
                assert_eq!(classify(&head, message), outcome, "{name}");
                let error = translate("m", &head, message).unwrap();
                assert_eq!((error.status.as_u16(), error.kind, &*error.message), expected, "{name}");
            }
            let body = format!(r#"{{"__type":"com.amazon.coral.service#{name}","Message":"why"}}"#);
            assert_eq!(classify(&head(status, ""), body.as_bytes()), outcome, "{body}");
            let error = translate("m", &head(status, ""), body.as_bytes()).unwrap();
            assert_eq!((error.status.as_u16(), error.kind, &*error.message), expected, "{body}");
        }
        let overloaded = Outcome::Overloaded { retry_after: None };
        check(400, "ValidationException", Outcome::Refused, (400, "invalid_request_error"));
        check(400, "ServiceQuotaExceededException", LIMITED, (429, "rate_limit_error"));
        for name in ["AccessDenied", "UnrecognizedClient", "InvalidSignature", "MissingAuthenticationToken"] {
            let name = format!("{name}Exception");
            check(403, &name, Outcome::CredentialRejected, (403, "permission_error"));
        }
        check(403, "ExpiredTokenException", Outcome::CredentialRejected, (403, "permission_error"));
        check(403, "ExpiredToken", Outcome::CredentialRejected, (403, "permission_error"));
        check(400, "IncompleteSignatureException", Outcome::CredentialRejected, (403, "permission_error"));
        check(404, "ResourceNotFoundException", Outcome::ModelUnavailable, (404, "not_found_error"));
        check(408, "ModelTimeoutException", Outcome::Failed, (408, "timeout_error"));
        check(424, "ModelErrorException", Outcome::Failed, (500, "api_error"));
        check(424, "ModelStreamErrorException", Outcome::Failed, (500, "api_error"));
        check(429, "ThrottlingException", LIMITED, (429, "rate_limit_error"));
        check(429, "TooManyRequestsException", LIMITED, (429, "rate_limit_error"));
        check(429, "ModelNotReadyException", overloaded, (503, "overloaded_error"));
        check(500, "InternalServerException", Outcome::Failed, (500, "api_error"));
        check(503, "ServiceUnavailableException", overloaded, (503, "overloaded_error"));
        // Unknown names go by their status.
        check(413, "RequestEntityTooLargeException", Outcome::Refused, (413, "request_too_large"));
        check(403, "SomethingNewException", Outcome::CredentialRejected, (403, "permission_error"));
        check(502, "SomethingNewException", Outcome::Failed, (502, "api_error"));
    }

    #[test]
    fn the_text_tells_what_the_name_does_not() {
        #[track_caller]
        fn check(message: &str, outcome: Outcome, expected: &str) {
            let body = serde_json::json!({"message": message}).to_string();
            let head = head(400, "ValidationException");
            assert_eq!(classify(&head, body.as_bytes()), outcome);
            assert_eq!(translate("claude-x", &head, body.as_bytes()).unwrap().message, expected);
        }
        let throughput = "Invocation of model ID claude-x with on-demand throughput isn\u{2019}t supported. Retry your \
            request with the ID or ARN of an inference profile that contains this model.";
        for message in [throughput.to_owned(), throughput.replace('\u{2019}', "'")] {
            let advice = "map the model to an inference profile, such as us.claude-x, in model_mapping";
            check(&message, Outcome::ModelUnavailable, &format!("{message} ({advice})"));
        }
        check(
            "The provided model identifier is invalid.",
            Outcome::ModelUnavailable,
            "The provided model identifier is invalid. (`claude-x` is no id of Bedrock's: map the model to one in \
             model_mapping)",
        );
        let counting = "The provided model doesn't support counting tokens.";
        check(counting, Outcome::Unsupported, counting);
        check(
            "Input is too long for requested model.",
            Outcome::Refused,
            "prompt is too long: Input is too long for requested model.",
        );
        let forbidden = head(403, "AccessDeniedException");
        let body = br#"{"message":"You don't have access to the model with the specified model ID."}"#;
        assert_eq!(classify(&forbidden, body), Outcome::ModelUnavailable);
    }

    #[test]
    fn what_is_not_aws_keeps_its_form_and_goes_by_its_status() {
        for body in ["", "<html>", "[]", "{}", r#"{"message":7}"#] {
            let head = head(502, "");
            assert_eq!(translate("m", &head, body.as_bytes()), None, "{body}");
            assert_eq!(classify(&head, body.as_bytes()), Outcome::Failed);
        }
        let gateway = br#"{"message":"Forbidden"}"#;
        assert_eq!(classify(&head(403, ""), gateway), Outcome::CredentialRejected);
        assert_eq!(translate("m", &head(403, ""), gateway).unwrap().kind, "permission_error");
        assert_eq!(classify(&head(200, ""), b""), Outcome::Success);
    }

    #[test]
    fn only_an_old_credential_asks_for_a_new_one() {
        for name in ["ExpiredTokenException:http://x", "UnrecognizedClientException", "ExpiredToken"] {
            assert!(asks_for_new_credential(&head(403, name), b""), "{name}");
        }
        for name in ["AccessDeniedException", "InvalidSignatureException", ""] {
            assert!(!asks_for_new_credential(&head(403, name), b""), "{name}");
        }
        let in_body = br#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"expired"}"#;
        assert!(asks_for_new_credential(&head(403, ""), in_body));
    }
}
