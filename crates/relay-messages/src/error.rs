//! Errors in the format of Anthropic's API.
//!
//! # Source
//! platform.claude.com/docs, "Errors".

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

/// The status 529, with which Anthropic reports that it is overloaded. It is not registered with IANA.
pub const OVERLOADED_STATUS: u16 = 529;

/// An error with the status, type and message that Anthropic's API would return.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status that the client gets.
    pub status: StatusCode,
    /// `error.type`.
    pub kind: &'static str,
    /// `error.message`. Claude Code matches on its wording.
    pub message: String,
}

impl ApiError {
    /// Creates an error of the given status, `error.type` and `error.message`. [`error_type`] returns the type that
    /// Anthropic's API returns with a status.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }
}

/// Serializes an error in the format of Anthropic's API:
/// `{"type":"error","error":{"type","message"},"request_id"}`.
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
    // The value holds only strings, which can always be serialized.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// Returns the `error.type` that belongs to a status (platform.claude.com/docs, "Errors").
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
        503 | OVERLOADED_STATUS => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
