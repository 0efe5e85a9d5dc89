//! Makes a stream of events of a message in one piece, for a client that has requested a stream.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use relay_messages::media_type;
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::BoxError;

use crate::answer::{AnswerBody, AnswerBodyError, AttemptError};

/// The members of a message that `message_delta` repeats.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The members of a block of content that arrive in deltas.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

/// Returns `response`, a message in one piece, as a stream.
///
/// # Errors
/// [`AttemptError::Broken`] if the body is not a message.
pub(crate) async fn stream_of(response: Response<AnswerBody>) -> Result<Response<AnswerBody>, AttemptError> {
    let (mut head, body) = response.into_parts();
    let message = body.collect().await.map_err(AttemptError::Broken)?.to_bytes();
    let events = events(&message).map_err(|error| AttemptError::Broken(AnswerBodyError::Malformed(error)))?;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, media_type::EVENTS_IN_UTF8);
    Ok(Response::from_parts(head, AnswerBody::from(Bytes::from(events))))
}

/// Returns the events of `message`. Its values keep their bytes.
fn events(message: &[u8]) -> Result<String, BoxError> {
    let message = std::str::from_utf8(message)?;
    let Message { content, stop_reason, stop_sequence, usage } = serde_json::from_str(message)?;
    // `message_delta` states the reason for the end.
    let opening = replaced(message, [(Some(content), "[]"), (stop_reason, "null"), (stop_sequence, "null")]);
    let mut out = String::new();
    write(&mut out, "message_start", &format!(r#","message":{opening}"#));
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get())?;
    for (index, block) in blocks.into_iter().enumerate() {
        write_block(&mut out, index, block.get())?;
    }
    let [reason, sequence] = [stop_reason, stop_sequence].map(|value| value.map_or("null", RawValue::get));
    let usage = usage.map_or(r#"{"output_tokens":0}"#, RawValue::get);
    let delta = format!(r#","delta":{{"stop_reason":{reason},"stop_sequence":{sequence}}},"usage":{usage}"#);
    write(&mut out, "message_delta", &delta);
    write(&mut out, "message_stop", "");
    Ok(out)
}

/// Appends the events of one block of content: its start without the members that arrive in deltas, the deltas, and its
/// end. A block of another type has no deltas.
fn write_block(out: &mut String, index: usize, block: &str) -> Result<(), BoxError> {
    let Block { text, thinking, signature, input, citations } = serde_json::from_str(block)?;
    let start = replaced(
        block,
        [(text, r#""""#), (thinking, r#""""#), (signature, r#""""#), (input, "{}"), (citations, "[]")],
    );
    let index = format!(r#","index":{index}"#);
    write(out, "content_block_start", &format!(r#"{index},"content_block":{start}"#));
    let mut delta = |kind: &str, member: &str, value: &str| {
        let delta = format!(r#"{index},"delta":{{"type":"{kind}","{member}":{value}}}"#);
        write(out, "content_block_delta", &delta);
    };
    let all: Vec<&RawValue> = citations.map_or(Ok(Vec::new()), |all| serde_json::from_str(all.get()))?;
    for citation in all {
        delta("citations_delta", "citation", citation.get());
    }
    if let Some(text) = text {
        delta("text_delta", "text", text.get());
    }
    if let Some(thinking) = thinking {
        delta("thinking_delta", "thinking", thinking.get());
    }
    if let Some(signature) = signature {
        delta("signature_delta", "signature", signature.get());
    }
    if let Some(input) = input {
        delta("input_json_delta", "partial_json", &serde_json::to_string(input.get())?);
    }
    write(out, "content_block_stop", &index);
    Ok(())
}

/// Returns the object `text` with other values in the place of some of its members. `values` are parts of `text`.
fn replaced<const N: usize>(text: &str, values: [(Option<&RawValue>, &str); N]) -> String {
    let offset = |value: &str| (value.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let mut values: Vec<_> = values
        .into_iter()
        .filter_map(|(value, replacement)| Some((value?.get(), replacement)))
        .map(|(value, replacement)| (offset(value), value.len(), replacement))
        .collect();
    values.sort_unstable();
    let (mut out, mut copied) = (String::new(), 0);
    for (at, len, replacement) in values {
        out += text.get(copied..at).unwrap_or_default();
        out += replacement;
        copied = at.saturating_add(len);
    }
    out + text.get(copied..).unwrap_or_default()
}

/// Appends the event `name` with `members`, each after a comma. Line ends between the tokens of their JSON become blanks,
/// since a line end would end the field; within a string they are escaped.
fn write(out: &mut String, name: &str, members: &str) {
    let members = members.replace(['\r', '\n'], " ");
    out.push_str(&format!("event: {name}\ndata: {{\"type\":\"{name}\"{members}}}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_message_keep_their_bytes() {
        let message = r#"{
 "id":"msg_1","type":"message","role":"assistant","model":"m","extra": 1.0,
 "content": [{"type":"thinking","thinking":"h\u00e9","signature":"c2ln"},{"type":"text","text":"a\nb","citations":[{"n":1.50}]},
  {"type":"tool_use","id":"t","name":"Bash","input":{"n":1e3, "s":"\"x\""}},{"type":"redacted_thinking","data":"ZGF0YQ"}],
 "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":5}}"#;
        let expected = r#"event: message_start
data: {"type":"message_start","message":{  "id":"msg_1","type":"message","role":"assistant","model":"m","extra": 1.0,  "content": [],  "stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":5}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h\u00e9"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":[]}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"n":1.50}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\nb"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"Bash","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"n\":1e3, \"s\":\"\\\"x\\\"\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"redacted_thinking","data":"ZGF0YQ"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":3,"output_tokens":5}}

event: message_stop
data: {"type":"message_stop"}

"#;
        assert_eq!(events(message.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_short_message_has_its_events_and_other_json_has_none() {
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let short = events(br#"{"type":"message","content":[]}"#).unwrap();
        assert!(short.ends_with(stop) && short.matches("event: ").count() == 3, "{short}");
        for odd in ["{}", "null", r#"{"content":"text"}"#, r#"{"content":[1]}"#, "<html>"] {
            assert!(events(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
