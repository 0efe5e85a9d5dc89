//! Finds soft errors: failures in a response of status 200, such as an error as JSON, a login page, or no body at all.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode, response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Form, UpstreamError};

/// The members that distinguish a message, or a count of tokens, from an error. Nothing else of the body is kept.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "text")]
    r#type: Option<String>,
    error: Option<IgnoredAny>,
    /// `error` in vLLM's and SGLang's older form: `{"object":"error","message":"…","type":"BadRequestError","code":400}`.
    #[serde(default, deserialize_with = "text")]
    object: Option<String>,
    /// Z.AI's older form: `{"code":401,"msg":"…","success":false}`.
    #[serde(default, deserialize_with = "flag")]
    success: Option<bool>,
    /// MiniMax's own form: `{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`. The code of a success
    /// is 0.
    #[serde(default, deserialize_with = "status_code")]
    base_resp: Option<i64>,
}

impl Shape {
    fn is_error(&self) -> bool {
        let has_code = self.base_resp.is_some_and(|code| code != 0);
        match &self.r#type {
            Some(kind) if kind == "message" => false,
            Some(kind) => kind.to_ascii_lowercase().ends_with("error") || self.is_named_error(),
            None => self.is_named_error() || self.success == Some(false) || has_code,
        }
    }

    fn is_named_error(&self) -> bool {
        self.error.is_some() || self.object.as_deref() == Some("error")
    }
}

/// The finding about a response of a status of success.
pub(crate) enum Answered {
    /// The response is a success, as far as its start shows.
    Success,
    /// The response is a failure.
    Failure(Box<UpstreamError>),
    /// The body is JSON that ends too early.
    CutOff,
}

/// Returns `true` if a success with these headers may be a soft error. A stream reports its errors in its events.
pub(crate) fn may_be_soft_error(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    !media_type.starts_with(b"text/event-stream")
        && !media_type.starts_with(b"application/vnd.amazon.eventstream")
}

/// Inspects a success: its head and the start of its body, or the whole body if `is_whole`. A failure has the status that
/// it means.
pub(crate) fn inspect(head: &response::Parts, start: &Bytes, is_whole: bool) -> Answered {
    let read = || UpstreamError::read(head, start.clone(), is_whole);
    let failure = |error: UpstreamError, status| Answered::Failure(Box::new(error.with_status(status)));
    match serde_json::from_slice::<Shape>(start) {
        Ok(shape) if shape.is_error() => {
            let error = read();
            let status = meant_by(&error);
            failure(error, status)
        }
        Ok(_) => Answered::Success,
        Err(_) if is_whole && is_cut_off(start) => Answered::CutOff,
        // JSON of another shape, or the start of a message.
        Err(_)
            if start.trim_ascii_start().starts_with(b"{") || start.trim_ascii_start().starts_with(b"[") =>
        {
            Answered::Success
        }
        Err(_) => {
            let error = read();
            match error.form() {
                Form::Page => failure(error, StatusCode::BAD_GATEWAY),
                Form::Text | Form::Empty if is_whole => failure(error, StatusCode::BAD_GATEWAY),
                _ => Answered::Success,
            }
        }
    }
}

/// Returns `true` if a whole body is JSON that ends too early.
fn is_cut_off(body: &[u8]) -> bool {
    let parsed = serde_json::from_slice::<IgnoredAny>(body);
    !body.trim_ascii().is_empty() && parsed.is_err_and(|error| error.is_eof())
}

/// The status that an error means: that of its type, of a status in the place of its code, or of a prompt that is too long;
/// 502 for others.
///
/// # Source
/// openrouter.ai/docs, "Errors": an error after the start of the generation has status 200 and its own status in
/// `error.code`. Z.AI answers 200 with `{"code":401,"msg":"…","success":false}`.
fn meant_by(error: &UpstreamError) -> StatusCode {
    let by_code = || {
        let code: u16 = error.code()?.parse().ok()?;
        StatusCode::from_u16(code).ok().filter(|status| status.is_client_error() || status.is_server_error())
    };
    let by_words = || error.states_too_long_prompt().then_some(StatusCode::BAD_REQUEST);
    let by_kind = error.kind().and_then(known_status_of);
    by_kind.or_else(by_code).or_else(by_words).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// The status that goes with an `error.type` of Anthropic's; 502 for an unknown one.
pub(crate) fn status_of(kind: &str) -> StatusCode {
    known_status_of(kind).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn known_status_of(kind: &str) -> Option<StatusCode> {
    let status = match kind {
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
        _ => return None,
    };
    Some(status)
}

/// Reads a string; any other value counts as none.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_str().map(str::to_owned))
}

/// Reads a boolean; any other value counts as none.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_bool())
}

/// Reads the `status_code` of an object; any other value counts as none.
fn status_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?["status_code"].as_i64())
}

#[cfg(test)]
mod tests {
    use super::super::reads;
    use super::super::testing::head;
    use super::*;

    fn inspected(body: &str, is_whole: bool) -> Answered {
        inspect(&head(200, &[]), &Bytes::copy_from_slice(body.as_bytes()), is_whole)
    }

    #[test]
    fn json_that_ends_too_early_is_recognised() {
        for whole in [r#"{"a":1}"#, " {} ", "<html>", "", "text"] {
            assert!(!matches!(inspected(whole, true), Answered::CutOff), "{whole}");
        }
        for cut in [r#"{"a":1"#, r#"{"a":[{"b":"c"#, "{"] {
            assert!(matches!(inspected(cut, true), Answered::CutOff), "{cut}");
        }
    }

    #[test]
    fn a_soft_error_has_the_status_that_it_means_and_is_read_once() {
        #[track_caller]
        fn check(body: &str, is_whole: bool, expected: Option<u16>) {
            reads::take();
            let found = match inspected(body, is_whole) {
                Answered::Failure(error) => Some(error.status().as_u16()),
                _ => None,
            };
            assert_eq!(found, expected, "{body}");
            assert_eq!(reads::take(), u32::from(expected.is_some()), "{body}");
        }
        check(r#"{"type":"message","content":[],"error":null}"#, true, None);
        check(r#"{"input_tokens":7}"#, true, None);
        check(r#"{"id":"x","choices":[]}"#, true, None);
        check(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, true, Some(503));
        check(r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, true, Some(429));
        check(r#"{"error":{"message":"x","type":"authentication_error"}}"#, true, Some(401));
        check(r#"{"error":{"message":"x","type":"server_error"}}"#, true, Some(502));
        check(r#"{"error":{"message":"x","code":502}}"#, true, Some(502));
        check(r#"{"error":{"message":"x","code":429}}"#, true, Some(429));
        check(r#"{"error":{"message":"x","code":1113}}"#, true, Some(502));
        check(r#"{"error":{"message":"x","code":200}}"#, true, Some(502));
        check(r#"{"error":"(n_keep: 15000 >= n_ctx: 4096)"}"#, true, Some(400));
        check(r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#, true, Some(502));
        check(r#"{"id":"x","base_resp":{"status_code":0,"status_msg":"success"}}"#, true, None);
        check(r#"{"code":401,"msg":"token expired or incorrect","success":false}"#, true, Some(401));
        check(r#"{"object":"error","message":"x","type":"BadRequestError","code":400}"#, true, Some(400));
        check(r#"{"type":"invalid_request_error","message":"x"}"#, true, Some(400));
        check(r#"{"type":"completion","completion":"x"}"#, true, None);
        check("<!DOCTYPE html><title>Sign in</title>", true, Some(502));
        check("<!DOCTYPE html><title>Sign in</title>", false, Some(502));
        check("Ollama is running", true, Some(502));
        check("", true, Some(502));
        // Cut off: the watcher of the body's end reports it.
        check(r#"{"type":"message","content":["#, true, None);
        check(r#"{"type":"message","content":["#, false, None);
    }
}
