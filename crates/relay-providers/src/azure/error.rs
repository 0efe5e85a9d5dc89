//! Errors of the gateway in front of Foundry's models. The models' own are Anthropic's and never come here to be
//! translated.
//!
//! # Source
//! Recorded answers in public reports: `{"error":{"code","message","details"}}`, and API Management's older
//! `{"statusCode","message"}`.

use http::{StatusCode, response};
use relay_messages::{ApiError, error_type};
use serde_json::Value;

use crate::answer::Outcome;
use crate::messages;

/// What the gateway says.
struct GatewayError {
    code: String,
    message: String,
}

impl GatewayError {
    /// `None` for anything else, an error of the model's included: that one has a `type` and no `code`.
    fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let (code, message) = match body.get("error") {
            Some(error) => (error.get("code")?, &error["message"]),
            None => (body.get("statusCode")?, &body["message"]),
        };
        let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
        Some(Self { code, message: message.as_str().unwrap_or_default().to_owned() })
    }

    fn is(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code)
    }

    /// The gateway loses its own way to the model now and then. It is no verdict on the key.
    fn is_astray(&self) -> bool {
        self.is("invalid_model_endpoint_authentication")
    }

    fn lacks_deployment(&self) -> bool {
        self.is("DeploymentNotFound")
    }

    fn lacks_api(&self) -> bool {
        self.is("api_not_supported")
    }

    fn is_too_long(&self) -> bool {
        self.is("context_length_exceeded") || self.message.contains("maximum context length")
    }
}

pub(super) fn classify(head: &response::Parts, body: &[u8]) -> Outcome {
    match GatewayError::parse(body) {
        Some(error) if error.is_astray() => Outcome::Failed,
        Some(error) if error.lacks_deployment() || error.lacks_api() => Outcome::ModelUnavailable,
        Some(error) if error.is_too_long() => Outcome::Refused,
        _ => messages::classify(head, body),
    }
}

pub(super) fn translate(deployment: &str, head: &response::Parts, body: &[u8]) -> Option<ApiError> {
    let error = GatewayError::parse(body)?;
    let GatewayError { code, message } = &error;
    let (status, message) = if error.is_astray() {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("Azure could not reach the model: {message}"))
    } else if error.lacks_deployment() {
        let message = format!(
            "model: the Azure resource has no deployment called `{deployment}`; create it in Azure AI Foundry, or name \
             the right one in providers[].model_mapping ({message})"
        );
        (StatusCode::NOT_FOUND, message)
    } else if error.lacks_api() {
        let message = format!(
            "model: the Azure deployment `{deployment}` does not serve the Messages API; name one of a Claude model in \
             providers[].model_mapping ({message})"
        );
        (StatusCode::NOT_FOUND, message)
    } else if error.is_too_long() {
        // Claude Code compacts a conversation when it reads this.
        (StatusCode::BAD_REQUEST, format!("prompt is too long: {message}"))
    } else if message.is_empty() {
        (head.status, format!("Azure answered {} ({code})", head.status.as_u16()))
    } else {
        (head.status, message.clone())
    };
    Some(ApiError { status, kind: error_type(status), message })
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;
    use crate::answer::LimitScope;

    #[test]
    fn each_error_of_the_gateway_has_its_meaning() {
        #[track_caller]
        fn check(status: u16, body: &str, outcome: Outcome, expected: Option<(u16, &str, &str)>) {
            let head = Response::builder().status(status).body(()).unwrap().into_parts().0;
            assert_eq!(classify(&head, body.as_bytes()), outcome, "{body}");
            let found = translate("my-opus", &head, body.as_bytes());
            let found = found.as_ref().map(|e| (e.status.as_u16(), e.kind, e.message.as_str()));
            assert_eq!(found, expected, "{body}");
        }
        let denied = "Access denied due to invalid subscription key or wrong API endpoint.";
        let rejected = Outcome::CredentialRejected;
        check(
            401,
            &format!(r#"{{"error":{{"code":"401","message":"{denied}"}}}}"#),
            rejected,
            Some((401, "authentication_error", denied)),
        );
        check(
            401,
            &format!(r#"{{"statusCode":401,"message":"{denied}"}}"#),
            rejected,
            Some((401, "authentication_error", denied)),
        );
        check(
            403,
            r#"{"error":{"code":"AuthorizationFailed"}}"#,
            rejected,
            Some((403, "permission_error", "Azure answered 403 (AuthorizationFailed)")),
        );
        check(
            401,
            r#"{"error":{"code":"invalid_model_endpoint_authentication","message":"Unauthorized","details":"x"}}"#,
            Outcome::Failed,
            Some((500, "api_error", "Azure could not reach the model: Unauthorized")),
        );
        check(
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            Outcome::ModelUnavailable,
            Some((
                404,
                "not_found_error",
                "model: the Azure resource has no deployment called `my-opus`; create it in Azure AI Foundry, or name \
                 the right one in providers[].model_mapping (The API deployment for this resource does not exist.)",
            )),
        );
        check(
            400,
            r#"{"error":{"code":"api_not_supported","message":"Not supported"}}"#,
            Outcome::ModelUnavailable,
            Some((
                404,
                "not_found_error",
                "model: the Azure deployment `my-opus` does not serve the Messages API; name one of a Claude model in \
                 providers[].model_mapping (Not supported)",
            )),
        );
        check(
            429,
            r#"{"error":{"code":"RateLimitReached","message":"Too many requests"}}"#,
            Outcome::RateLimited { retry_after: None, scope: LimitScope::Request },
            Some((429, "rate_limit_error", "Too many requests")),
        );
        check(
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"300000 tokens"}}"#,
            Outcome::Refused,
            Some((400, "invalid_request_error", "prompt is too long: 300000 tokens")),
        );
        check(404, r#"{"type":"error","error":{"type":"not_found_error"}}"#, Outcome::ModelUnavailable, None);
        check(502, "<html>", Outcome::Failed, None);
    }
}
