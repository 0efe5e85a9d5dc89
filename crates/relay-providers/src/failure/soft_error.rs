//! Finds soft errors: failures in a response of status 200, such as an error as JSON, a login page, or no body at all.

use bytes::Bytes;
use http::{StatusCode, response};
use relay_stream::watch::StreamReport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::UpstreamError;
use super::upstream_error::ERROR_BODY_LIMIT;

/// The members that distinguish a message from an error. Nothing else of the body is kept.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "text")]
    r#type: Option<String>,
    #[serde(default, deserialize_with = "content")]
    content: bool,
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

    /// Returns `true` for a message. Servers that resemble the Messages API may omit its type.
    fn is_message(&self) -> bool {
        match &self.r#type {
            Some(kind) => kind == "message",
            None => self.content,
        }
    }
}

/// The finding about an answer in one piece with a status of success.
pub(crate) enum Answered {
    /// The answer is a message. Its report is `None` if a parser had to decide.
    Message(Option<Box<StreamReport>>),
    /// The answer is an error.
    Failure(Box<UpstreamError>),
    /// The body is JSON, but neither a message nor an error: a description of the fault.
    Unusable(String),
    /// The body is JSON that ends too early.
    CutOff,
}

/// Inspects an answer in one piece with a status of success: its head and its whole body. An error has the status that it
/// means; a page, a text and no body at all have the status 502.
pub(crate) fn inspect(head: &response::Parts, body: &Bytes) -> Answered {
    // Nearly every answer is such a message. Its reading costs half of that by the parser.
    match StreamReport::of_message(body) {
        Some(report) => Answered::Message(Some(Box::new(report))),
        None => parse(head, body),
    }
}

fn parse(head: &response::Parts, body: &Bytes) -> Answered {
    let text = body.trim_ascii();
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => inspect_json(head, body),
        Err(_) if !is_json(text) => failure(read(head, body), StatusCode::BAD_GATEWAY),
        Err(error) if error.is_eof() => Answered::CutOff,
        Err(_) => unusable(head, "JSON that is damaged"),
    }
}

fn inspect_json(head: &response::Parts, body: &Bytes) -> Answered {
    let is_error = match body.trim_ascii_start().first() {
        Some(b'{') => match serde_json::from_slice::<Shape>(body) {
            Ok(shape) if !shape.is_error() && shape.is_message() => return Answered::Message(None),
            shape => shape.is_ok_and(|shape| shape.is_error()),
        },
        // Google's form of an error in a stream.
        Some(b'[') => read(head, body).member_in_list(&["error"]).is_some_and(Value::is_object),
        _ => false,
    };
    if !is_error {
        return unusable(head, "JSON that is not a message");
    }
    let error = read(head, body);
    let status = meant_by(&error);
    failure(error, status)
}

/// Reads the error in `body`, or in as much of it as an error may have.
fn read(head: &response::Parts, body: &Bytes) -> UpstreamError {
    let start = body.slice(..body.len().min(ERROR_BODY_LIMIT));
    UpstreamError::read(head, start, body.len() <= ERROR_BODY_LIMIT)
}

fn failure(error: UpstreamError, status: StatusCode) -> Answered {
    Answered::Failure(Box::new(error.with_status(status)))
}

fn unusable(head: &response::Parts, what: &str) -> Answered {
    Answered::Unusable(format!("the upstream answered {} with {what}", head.status.as_u16()))
}

/// Returns `true` if `text` begins like an object or a list.
fn is_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'['))
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

/// Returns `true` for the content of a message: a list, or the `null` that some servers write for an empty one.
fn content<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = <&RawValue>::deserialize(deserializer)?.get();
    Ok(value.starts_with('[') || value == "null")
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
    use super::super::testing::head;
    use super::*;

    fn inspected(body: &str) -> Answered {
        inspect(&head(200, &[]), &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_message_that_is_recognised_without_the_parser_is_one_for_the_parser_as_well() {
        let members = [
            r#""type":"message""#,
            r#""type" : "error""#,
            r#""type":null"#,
            r#""content":[{"type":"text","text":"a\n\ud83d"}]"#,
            r#""content":"x""#,
            r#""error":{"type":"api_error"}"#,
            r#""error":null"#,
            r#""object":"error""#,
            r#""success":false"#,
            r#""base_resp":{"status_code":1}"#,
            r#""base_resp":1e999"#,
            r#""\u0074ype":"error""#,
            r#""\ud800":1"#,
            r#""usage":{"input_tokens":-0.5e3}"#,
            r#""x":01"#,
            r#""x":[1,{"a":[]}]"#,
            "\"x\":\"\t\"",
            "",
        ];
        let mut recognised = 0;
        for a in members {
            for b in members {
                for c in members {
                    let body = Bytes::from(format!("{{{a},{b},{c}}}"));
                    let body = if b.is_empty() { Bytes::from(format!(" {{{a} , {c}}}\n")) } else { body };
                    if StreamReport::of_message(&body).is_some() {
                        recognised += 1;
                        assert!(matches!(parse(&head(200, &[]), &body), Answered::Message(_)), "{body:?}");
                    }
                }
            }
        }
        assert!(recognised > 20, "{recognised}");
    }

    #[test]
    fn json_that_ends_too_early_is_recognised() {
        for whole in [r#"{"a":1}"#, " {} ", "<html>", "", "text"] {
            assert!(!matches!(inspected(whole), Answered::CutOff), "{whole}");
        }
        for cut in [r#"{"a":1"#, r#"{"a":[{"b":"c"#, "{", r#"{"type":"message","content":["#, "["] {
            assert!(matches!(inspected(cut), Answered::CutOff), "{cut}");
        }
    }

    #[test]
    fn json_is_a_message_by_its_type_or_its_content() {
        for message in [
            r#"{"type":"message","content":[],"error":null}"#,
            r#" {"id":"x","role":"assistant","content":[{"type":"text","text":"a"}]}"#,
            r#"{"role":"assistant","content":null,"base_resp":{"status_code":0,"status_msg":"success"}}"#,
            r#"{"type":"message"}"#,
        ] {
            assert!(matches!(inspected(message), Answered::Message(_)), "{message}");
        }
        for other in [
            "null",
            "7",
            r#""text""#,
            "[]",
            r#"["message"]"#,
            r#"["message",[],null]"#,
            "{}",
            r#"{"input_tokens":7}"#,
            r#"{"id":"x","object":"chat.completion","choices":[]}"#,
            r#"{"type":"completion","completion":"x"}"#,
            r#"{"role":"assistant","content":"x"}"#,
            r#"{"type":"message",}"#,
            r#"{"type":"message"} {}"#,
        ] {
            assert!(matches!(inspected(other), Answered::Unusable(_)), "{other}");
        }
    }

    #[test]
    fn a_soft_error_has_the_status_that_it_means() {
        #[track_caller]
        fn check(body: &str, expected: u16) {
            let found = match inspected(body) {
                Answered::Failure(error) => error.status().as_u16(),
                _ => panic!("{body} is no failure"),
            };
            assert_eq!(found, expected, "{body}");
        }
        check(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, 503);
        check(r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#, 429);
        check(r#"{"error":{"message":"x","type":"authentication_error"}}"#, 401);
        check(r#"{"error":{"message":"x","type":"server_error"}}"#, 502);
        check(r#"{"error":{"message":"x","code":502}}"#, 502);
        check(r#"{"error":{"message":"x","code":429}}"#, 429);
        check(r#"[{"error":{"message":"x","code":429}}]"#, 429);
        check(r#"{"error":{"message":"x","code":1113}}"#, 502);
        check(r#"{"error":{"message":"x","code":200}}"#, 502);
        check(r#"{"error":"(n_keep: 15000 >= n_ctx: 4096)"}"#, 400);
        check(r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#, 502);
        check(r#"{"code":401,"msg":"token expired or incorrect","success":false}"#, 401);
        check(r#"{"object":"error","message":"x","type":"BadRequestError","code":400}"#, 400);
        check(r#"{"type":"invalid_request_error","message":"x"}"#, 400);
        check("<!DOCTYPE html><title>Sign in</title>", 502);
        check("Ollama is running", 502);
        check("", 502);
        check(" \r\n", 502);
    }
}
