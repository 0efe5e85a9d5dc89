//! The conversion of one message of Bedrock into one event of Anthropic.

use bytes::BytesMut;
use memchr::{memchr, memmem};

use super::payload::{ConvertError, METRICS, metrics_span, write_error_event, write_json};
use crate::frame::MessageRef;
use crate::json;

/// The largest capacity that the scratch buffer keeps after an event, in bytes. A larger buffer is freed.
const KEPT_CAPACITY: usize = 64 << 10;

/// The longest header block that is remembered, in bytes. The header blocks of the service have less than a
/// hundred.
const KEPT_HEADERS: usize = 256;

/// Converts messages of `InvokeModelWithResponseStream` into Anthropic's server-sent events.
///
/// - The `bytes` of a chunk are the base64 of the JSON of one event. The event is written with its `type` as
///   its name. The JSON is unchanged except that `amazon-bedrock-invocationMetrics` is removed. The padding
///   `p` and unknown members of the chunk are dropped. A chunk without `bytes` and an event without `type`
///   are dropped, as in Anthropic's SDKs.
/// - An exception, an error message, and an error inside a chunk become an `error` event with the
///   corresponding type of Anthropic.
/// - Every other message is dropped.
///
/// The converter keeps a scratch buffer for one event, at most 64 KiB between events.
/// ```
/// use bytes::{Bytes, BytesMut};
/// use relay_stream::bedrock::Converter;
/// use relay_stream::frame::Decoder;
///
/// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
/// let (mut converter, mut out) = (Converter::new(), BytesMut::new());
/// let message = Decoder::new().decode(&mut Bytes::from_static(CAPTURE))?.expect("the first message");
/// converter.convert(message.as_borrowed(), &mut out)?;
/// assert!(out.starts_with(b"event: message_start\n"));
/// assert!(!converter.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Converter {
    /// The JSON of the current event.
    event: Vec<u8>,
    /// The header block of the last chunk. The next chunk usually has the same, which is then not read again.
    chunk_headers: Vec<u8>,
    metrics: memmem::Finder<'static>,
    complete: bool,
}

/// The kind of a message, from its headers.
enum MessageKind<'a> {
    Chunk,
    /// An exception of the service model, with its name.
    Exception(&'a [u8]),
    /// An error outside the service model, with its code and message.
    Error(&'a [u8], &'a [u8]),
    Other,
}

impl Converter {
    /// Creates a converter at the start of a stream.
    pub fn new() -> Self {
        let metrics = memmem::Finder::new(METRICS);
        Converter { event: Vec::new(), chunk_headers: Vec::new(), metrics, complete: false }
    }

    /// Converts `message` and appends the event to `out`. Appends nothing for a message that is dropped.
    /// # Errors
    /// [`ConvertError`] if a chunk does not have the form that the service defines. `out` is then unchanged.
    #[inline]
    pub fn convert(&mut self, message: MessageRef<'_>, out: &mut BytesMut) -> Result<(), ConvertError> {
        match self.kind(message) {
            MessageKind::Chunk => return self.chunk(message.payload(), out),
            MessageKind::Exception(name) => self.exception(name, message.payload(), out),
            MessageKind::Error(code, text) => self.error(code, &String::from_utf8_lossy(text), out),
            MessageKind::Other => {}
        }
        Ok(())
    }

    /// Returns `true` once `message_stop` or an error has been converted, so that the stream may end.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    #[inline]
    fn kind<'a>(&mut self, message: MessageRef<'a>) -> MessageKind<'a> {
        let block = message.header_block();
        if block == self.chunk_headers && !block.is_empty() {
            return MessageKind::Chunk;
        }
        let (mut message_type, mut name, mut text): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
        for (header, value) in message.string_headers() {
            match header {
                b":message-type" => message_type = value,
                b":event-type" | b":exception-type" | b":error-code" => name = value,
                b":error-message" => text = value,
                _ => {}
            }
        }
        match (message_type, name) {
            (b"event", b"chunk") => {
                self.chunk_headers.clear();
                if block.len() <= KEPT_HEADERS {
                    self.chunk_headers.extend_from_slice(block);
                }
                MessageKind::Chunk
            }
            (b"exception", name) => MessageKind::Exception(name),
            (b"error", code) => MessageKind::Error(code, text),
            _ => MessageKind::Other,
        }
    }

    #[inline]
    fn chunk(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), ConvertError> {
        self.event.clear();
        let plain =
            payload.strip_prefix(b"{\"bytes\":\"").and_then(|rest| Some(&rest[..memchr(b'"', rest)?]));
        if plain.is_none_or(|bytes| base64_simd::STANDARD.decode_append(bytes, &mut self.event).is_err()) {
            let mut members = json::Members::new(payload).ok_or(ConvertError::Chunk)?;
            let Some(bytes) = members.find(|member| member.key == b"bytes") else { return Ok(()) };
            let text = json::string(&payload[bytes.value]).ok_or(ConvertError::Base64)?;
            let decoded = base64_simd::STANDARD.decode_append(text.as_bytes(), &mut self.event);
            decoded.map_err(|_| ConvertError::Base64)?;
        }
        if self.metrics.find(&self.event).is_some()
            && let Some(span) = metrics_span(&self.event)
        {
            self.event.drain(span);
        }
        self.complete |= write_json(&self.event, out)?;
        if self.event.capacity() > KEPT_CAPACITY {
            self.event = Vec::new();
        }
        Ok(())
    }

    fn exception(&mut self, name: &[u8], payload: &[u8], out: &mut BytesMut) {
        let text = ["message", "Message", "originalMessage"]
            .iter()
            .find_map(|key| json::get_string(payload, key).filter(|text| !text.is_empty()));
        self.error(name, &text.unwrap_or_default(), out);
    }

    fn error(&mut self, aws: &[u8], message: &str, out: &mut BytesMut) {
        write_error_event(&String::from_utf8_lossy(aws), message, out);
        self.complete = true;
    }
}

impl Default for Converter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bedrock;
    use crate::frame::{Decoder, HeaderValue, write_message};

    fn convert(frame: BytesMut) -> (Result<String, ConvertError>, bool) {
        let (mut converter, mut decoder, mut out) = (Converter::new(), Decoder::new(), BytesMut::new());
        let message = decoder.decode(&mut frame.freeze()).unwrap().unwrap();
        let result = converter.convert(message.as_borrowed(), &mut out);
        (result.map(|()| String::from_utf8(out.to_vec()).unwrap()), converter.is_complete())
    }

    fn raw_chunk(payload: &str) -> BytesMut {
        let headers =
            [(":message-type", HeaderValue::String("event")), (":event-type", HeaderValue::String("chunk"))];
        let mut frame = BytesMut::new();
        write_message(headers, payload.as_bytes(), &mut frame).unwrap();
        frame
    }

    /// Converts a chunk with `event` and compares the output.
    #[track_caller]
    fn check(event: &str, expected: &str) {
        let mut frame = BytesMut::new();
        bedrock::write_chunk(event.as_bytes(), "abc", &mut frame).unwrap();
        assert_eq!(convert(frame).0.as_deref(), Ok(expected));
    }

    #[test]
    fn an_event_is_named_by_its_type_and_keeps_its_bytes() {
        check(r#"{"type":"ping"}"#, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        check(
            r#"{ "n": 1.50, "type" : "new_kind" }"#,
            "event: new_kind\ndata: { \"n\": 1.50, \"type\" : \"new_kind\" }\n\n",
        );
        check("{\n\"type\":\"a\"}", "event: a\ndata: {\ndata: \"type\":\"a\"}\n\n");
        check(r#"{"type":"\u0061b"}"#, "event: ab\ndata: {\"type\":\"\\u0061b\"}\n\n");
        check(r#"{"index":0}"#, "");
        check(r#"{"type":7}"#, "");
        check("", "");
        check("null", "");
    }

    #[test]
    fn the_metrics_are_removed_at_every_position_and_nothing_else() {
        let metrics = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":1,"x":["}"]}"#;
        let stop = |members: &str| format!("event: message_stop\ndata: {{{members}}}\n\n");
        let all = r#""type":"message_stop","usage":{"output_tokens":2}"#;
        check(&format!("{{{all},{metrics}}}"), &stop(all));
        check(&format!("{{{metrics},{all}}}"), &stop(all));
        check(&format!(r#"{{"type":"message_stop",{metrics},"usage":{{"output_tokens":2}}}}"#), &stop(all));
        check(&format!("{{{all} , {metrics} }}"), &stop(&format!("{all} ")));
        let text = r#"{"type":"a","text":"amazon-bedrock-invocationMetrics","amazon":{"amazon-bedrock-invocationMetrics":1}}"#;
        check(text, &format!("event: a\ndata: {text}\n\n"));
        assert_eq!(
            metrics_span(format!("{{{metrics}}}").as_bytes()).map(|span| span.len()),
            Some(metrics.len())
        );
    }

    #[track_caller]
    fn check_error(frame: BytesMut, kind: &str, message: &str) {
        let (event, complete) = convert(frame);
        let json = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        assert_eq!(event, Ok(format!("event: error\ndata: {json}\n\n")));
        assert!(complete);
    }

    #[test]
    fn every_form_of_an_error_becomes_an_error_event() {
        let written = |write: &dyn Fn(&mut BytesMut) -> Result<(), crate::frame::EncodeError>| {
            let mut frame = BytesMut::new();
            write(&mut frame).unwrap();
            frame
        };
        let exception = |name, message| written(&|out| bedrock::write_exception(name, message, out));
        check_error(
            exception("throttlingException", "Too many \\ tokens"),
            "rate_limit_error",
            r"Too many \\ tokens",
        );
        check_error(exception("validationException", ""), "invalid_request_error", "validationException");
        check_error(
            exception("validationException", "Input is too long for requested model."),
            "invalid_request_error",
            "prompt is too long: Input is too long for requested model.",
        );
        check_error(written(&|out| bedrock::write_error("InternalFailure", "rig", out)), "api_error", "rig");
        check_error(written(&|out| bedrock::write_error("", "", out)), "api_error", "");
        let inner = |json: &str| written(&|out| bedrock::write_chunk(json.as_bytes(), "", out));
        let anthropic = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        check_error(inner(anthropic), "overloaded_error", "Overloaded");
        let aws = r#"{"error":{"message":"slow down","type":"ThrottlingException"},"type":"error"}"#;
        check_error(inner(aws), "rate_limit_error", "slow down");
        let mut upper = BytesMut::new();
        let headers = [
            (":exception-type", HeaderValue::String("modelStreamErrorException")),
            (":message-type", HeaderValue::String("exception")),
        ];
        write_message(headers, br#"{"Message":"rig","originalStatusCode":500}"#, &mut upper).unwrap();
        check_error(upper, "api_error", "rig");
    }

    #[test]
    fn a_message_without_an_event_is_dropped_and_a_malformed_one_is_an_error() {
        let check =
            |payload: &str, expected| assert_eq!(convert(raw_chunk(payload)).0, expected, "{payload}");
        check(r#"{"p":"abc"}"#, Ok(String::new()));
        check(r#"{"p":"abc","new":[{"bytes":1}],"bytes":"e30="}"#, Ok(String::new()));
        check(r#"{"bytes":"e30\u003d"}"#, Ok(String::new()));
        check("", Err(ConvertError::Chunk));
        check("[]", Err(ConvertError::Chunk));
        check(r#"{"bytes":null}"#, Err(ConvertError::Base64));
        check(r#"{"bytes":"e30"}"#, Err(ConvertError::Base64));
        check(r#"{"bytes":"\n"}"#, Err(ConvertError::Base64));
        check(r#"{"bytes":"eyJ0eXBlIjoiXG4ifQ=="}"#, Err(ConvertError::EventType));
        for (name, value) in [(":message-type", "event"), (":event-type", "chunk"), ("a", "b")] {
            let mut frame = BytesMut::new();
            write_message([(name, HeaderValue::String(value))], b"x", &mut frame).unwrap();
            assert_eq!(convert(frame), (Ok(String::new()), false));
        }
    }

    #[test]
    fn the_buffer_is_freed_after_a_large_event() {
        let mut frame = BytesMut::new();
        let event = format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(200_000));
        bedrock::write_chunk(event.as_bytes(), "", &mut frame).unwrap();
        let message = Decoder::new().decode(&mut frame.freeze()).unwrap().unwrap();
        let mut converter = Converter::new();
        converter.convert(message.as_borrowed(), &mut BytesMut::new()).unwrap();
        assert!(converter.event.capacity() <= KEPT_CAPACITY);
    }
}
