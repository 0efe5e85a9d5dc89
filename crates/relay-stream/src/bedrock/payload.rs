//! The events of Bedrock without their frames, for programs in which the SDK of AWS decodes the frames.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;
use memchr::memmem;

use super::error::{anthropic_error_type, anthropic_message, known_error_type};
use crate::json;
use crate::sse;

/// The member that Bedrock adds to the JSON of an event. Anthropic's API does not have it.
pub(super) const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// Appends the payload of a chunk as a server-sent event: `PayloadPart::bytes` of `aws-sdk-bedrockruntime`,
/// which are the JSON of one event.
///
/// The event is named by its `type`. The JSON is unchanged except that `amazon-bedrock-invocationMetrics` is
/// removed. A payload without `type` writes nothing, as in Anthropic's SDKs. An error of AWS inside a payload
/// becomes an `error` event in Anthropic's form.
///
/// The SDK reports exceptions as errors of its receiver: pass them to [`write_error_event`]. Neither function
/// knows the end of the message. A [`SseWatch`](crate::watch::SseWatch) over the output finds an end without
/// `message_stop`, which is a break.
/// ```
/// use bytes::BytesMut;
/// use relay_stream::bedrock::{write_error_event, write_payload};
///
/// let mut out = BytesMut::new();
/// write_payload(br#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#, &mut out)?;
/// assert_eq!(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
///
/// out.clear();
/// write_error_event("ThrottlingException", "Too many tokens", &mut out);
/// assert!(out.starts_with(b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","));
/// # Ok::<(), relay_stream::bedrock::ConvertError>(())
/// ```
/// # Errors
/// [`ConvertError::EventType`] if the `type` contains control characters. `out` is then unchanged.
pub fn write_payload(payload: &[u8], out: &mut BytesMut) -> Result<(), ConvertError> {
    let metrics = memmem::find(payload, METRICS.as_bytes()).and_then(|_| metrics_span(payload));
    match metrics {
        Some(span) => write_json(&[&payload[..span.start], &payload[span.end..]].concat(), out),
        None => write_json(payload, out),
    }
    .map(drop)
}

/// Appends an `error` event for an error of AWS, with the type of Anthropic from [`anthropic_error_type`].
///
/// `aws` is the name or the code of the error in any form, for example that of an exception in the stream. If
/// `message` is empty, the name is the message. The message is that of [`anthropic_message`].
pub fn write_error_event(aws: &str, message: &str, out: &mut BytesMut) {
    let message = if message.is_empty() { Cow::Borrowed(aws) } else { anthropic_message(message) };
    sse::write_error_event(anthropic_error_type(aws), &message, out);
}

/// Appends the event with the JSON `event`, which has no metrics. Returns `true` if the stream may end after it.
#[inline]
pub(super) fn write_json(event: &[u8], out: &mut BytesMut) -> Result<bool, ConvertError> {
    if event.starts_with(b"{\"type\":\"content_block_delta\",") {
        sse::write_named("content_block_delta", event, out);
        return Ok(false);
    }
    let Some(name) = json::get_string(event, "type") else { return Ok(false) };
    match &*name {
        "error" => write_inner_error(event, out),
        name if name.bytes().any(|byte| byte.is_ascii_control()) => return Err(ConvertError::EventType),
        name => sse::write_event(name, event, out),
    }
    Ok(matches!(&*name, "error" | "message_stop"))
}

/// Appends an error inside a chunk. An error of Anthropic is unchanged.
fn write_inner_error(event: &[u8], out: &mut BytesMut) {
    let error = json::get(event, "error").unwrap_or_default();
    match json::get_string(error, "type").filter(|kind| known_error_type(kind).is_some()) {
        Some(aws) => write_error_event(&aws, &json::get_string(error, "message").unwrap_or_default(), out),
        None => sse::write_event("error", event, out),
    }
}

/// An error in converting a chunk. Its checksums are right, so the service has sent these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The payload of a chunk is not a JSON object.
    #[error("the payload of a chunk is not a JSON object")]
    Chunk,
    /// The `bytes` of a chunk are not base64.
    #[error("the bytes of a chunk are not base64")]
    Base64,
    /// The type of an event contains control characters, which the name of a server-sent event cannot
    /// contain.
    #[error("the type of an event holds control characters")]
    EventType,
}

/// Returns the span of the metrics with one comma, so that the rest is an object again.
pub(super) fn metrics_span(event: &[u8]) -> Option<Range<usize>> {
    let mut before = None;
    let mut members = json::Members::new(event)?;
    while let Some(member) = members.next() {
        if member.key == METRICS.as_bytes() {
            let start = before.unwrap_or(member.span.start);
            let end = match (before, members.next()) {
                (None, Some(after)) => after.span.start,
                _ => member.span.end,
            };
            return Some(start..end);
        }
        before = Some(member.span.end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &str, expected: &str) {
        let mut out = BytesMut::from("before: ");
        write_payload(payload.as_bytes(), &mut out).unwrap();
        assert_eq!(&out[8..], expected.as_bytes(), "{payload}");
    }

    #[test]
    fn a_payload_is_written_as_the_event_of_its_type() {
        check(r#"{"type":"ping"}"#, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        check(
            r#"{"amazon-bedrock-invocationMetrics":{},"type":"message_stop"}"#,
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        );
        check("{\n\"type\":\"a\"}", "event: a\ndata: {\ndata: \"type\":\"a\"}\n\n");
        for without_type in ["", "{}", "null", "[1]", r#"{"completion":"x"}"#, r#"{"type":1}"#] {
            check(without_type, "");
        }
    }

    #[test]
    fn an_error_inside_a_payload_has_the_form_of_anthropic() {
        let aws = r#"{"type":"error","error":{"type":"ThrottlingException","message":"slow down"}}"#;
        let anthropic = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
        check(aws, &format!("event: error\ndata: {anthropic}\n\n"));
        check(anthropic, &format!("event: error\ndata: {anthropic}\n\n"));
    }

    #[test]
    fn a_type_with_control_characters_is_an_error_and_writes_nothing() {
        let mut out = BytesMut::new();
        let injected = br#"{"type":"a\ndata: x"}"#;
        assert_eq!(write_payload(injected, &mut out), Err(ConvertError::EventType));
        assert!(out.is_empty());
    }

    #[test]
    fn an_exception_is_written_with_the_type_of_anthropic() {
        #[track_caller]
        fn check(aws: &str, message: &str, kind: &str, expected: &str) {
            let mut out = BytesMut::new();
            write_error_event(aws, message, &mut out);
            let json = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{expected}"}}}}"#);
            assert_eq!(out, format!("event: error\ndata: {json}\n\n"));
        }
        check("modelTimeoutException", "late", "timeout_error", "late");
        check("ValidationException", "", "invalid_request_error", "ValidationException");
        check("", "unmodeled", "api_error", "unmodeled");
        let long = "Input is too long for requested model.";
        check("validationException", long, "invalid_request_error", &format!("prompt is too long: {long}"));
    }
}
