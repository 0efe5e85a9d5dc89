//! Failures behind a status of 200: an error as JSON, a login page, nothing.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Form, Reason};

/// What distinguishes a message, or a count of tokens, from an error. Nothing else of it is kept.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "text")]
    r#type: Option<String>,
    error: Option<IgnoredAny>,
    /// Z.AI's older form: `{"code":401,"msg":"…","success":false}`.
    #[serde(default, deserialize_with = "flag")]
    success: Option<bool>,
}

/// Whether a success has to be looked at. A stream tells of its errors itself.
pub(crate) fn may_be_disguised(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    !media_type.starts_with(b"text/event-stream")
        && !media_type.starts_with(b"application/vnd.amazon.eventstream")
}

/// The status that a success with this body, all of it or its start, should have had; `None` for what is one, and for
/// what is too long to tell.
pub(crate) fn true_status(start: &[u8], is_whole: bool) -> Option<StatusCode> {
    match serde_json::from_slice::<Shape>(start) {
        Ok(Shape { r#type: Some(kind), .. }) if kind == "error" => Some(status(&Reason::read(start))),
        Ok(Shape { r#type: None, error, success }) if error.is_some() || success == Some(false) => {
            Some(status(&Reason::read(start)))
        }
        Ok(_) => None,
        Err(_) => match Reason::read(start).form {
            Form::Page => Some(StatusCode::BAD_GATEWAY),
            Form::Text | Form::Nothing if is_whole => Some(StatusCode::BAD_GATEWAY),
            _ => None,
        },
    }
}

/// Whether a whole body is JSON that ends too early.
pub(crate) fn is_cut_off(body: &[u8]) -> bool {
    let parsed = serde_json::from_slice::<IgnoredAny>(body);
    !body.trim_ascii().is_empty() && parsed.is_err_and(|error| error.is_eof())
}

/// The status that goes with an error of Anthropic's; 502 for others.
fn status(reason: &Reason) -> StatusCode {
    let kind = reason.kind.as_deref().filter(|_| reason.form == Form::Anthropic);
    kind.map_or(StatusCode::BAD_GATEWAY, status_of)
}

/// The status that goes with the type of an error of Anthropic's; 502 for one that is not known.
pub(crate) fn status_of(kind: &str) -> StatusCode {
    match kind {
        "invalid_request_error" => StatusCode::BAD_REQUEST,
        "authentication_error" => StatusCode::UNAUTHORIZED,
        "billing_error" => StatusCode::PAYMENT_REQUIRED,
        "permission_error" => StatusCode::FORBIDDEN,
        "not_found_error" => StatusCode::NOT_FOUND,
        "request_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "rate_limit_error" => StatusCode::TOO_MANY_REQUESTS,
        "overloaded_error" => StatusCode::SERVICE_UNAVAILABLE,
        "timeout_error" => StatusCode::GATEWAY_TIMEOUT,
        "api_error" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// A string; whatever else stands there is none.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_str().map(str::to_owned))
}

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_bool())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_too_early_is_seen() {
        for whole in [r#"{"a":1}"#, " {} ", "<html>", "", "text"] {
            assert!(!is_cut_off(whole.as_bytes()), "{whole}");
        }
        for cut in [r#"{"a":1"#, r#"{"a":[{"b":"c"#, "{"] {
            assert!(is_cut_off(cut.as_bytes()), "{cut}");
        }
    }

    #[test]
    fn what_is_no_answer_has_its_status() {
        #[track_caller]
        fn check(body: &str, is_whole: bool, expected: Option<u16>) {
            let found = true_status(body.as_bytes(), is_whole).map(|status| status.as_u16());
            assert_eq!(found, expected, "{body}");
        }
        check(r#"{"type":"message","content":[],"error":null}"#, true, None);
        check(r#"{"input_tokens":7}"#, true, None);
        check(r#"{"id":"x","choices":[]}"#, true, None);
        check(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, true, Some(503));
        check(r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, true, Some(429));
        check(r#"{"error":{"message":"x","type":"authentication_error"}}"#, true, Some(502));
        check(r#"{"code":401,"msg":"token expired or incorrect","success":false}"#, true, Some(502));
        check("<!DOCTYPE html><title>Sign in</title>", true, Some(502));
        check("<!DOCTYPE html><title>Sign in</title>", false, Some(502));
        check("Ollama is running", true, Some(502));
        check("", true, Some(502));
        // Cut off: whoever watches the end of the body says so.
        check(r#"{"type":"message","content":["#, true, None);
        check(r#"{"type":"message","content":["#, false, None);
    }
}
