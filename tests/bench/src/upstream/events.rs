//! The events of a stream, in the framing of Anthropic (SSE) or of Amazon Bedrock (Event Stream).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use relay_stream::bedrock::write_chunk;

use crate::Result;
use crate::body::MODEL;

/// The number of events of a stream in addition to its deltas.
pub(crate) const ENVELOPE: u64 = 5;
/// The text before the time in a delta.
pub(crate) const STAMP: &[u8] = b"\"text\":\"T";
/// The bytes of the text in a large delta.
pub(crate) const LARGE: usize = 8 * 1024;
/// The digits of a time: nanoseconds since 1970.
pub(crate) const STAMP_DIGITS: usize = 20;

/// The framing of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Sse,
    EventStream,
}

impl Framing {
    /// Returns the media type of a stream in this framing.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::EventStream => "application/vnd.amazon.eventstream",
        }
    }

    /// Returns one event in this framing.
    /// # Errors
    /// If the event is too large for a frame.
    fn event(self, name: &str, data: &str) -> Result<Bytes> {
        match self {
            Self::Sse => Ok(Bytes::from(format!("event: {name}\ndata: {data}\n\n"))),
            Self::EventStream => {
                let mut frame = BytesMut::new();
                write_chunk(data.as_bytes(), "abcdefghijkl", &mut frame)?;
                Ok(frame.freeze())
            }
        }
    }

    /// Returns the event `message_start`.
    pub(crate) fn start(self) -> Result<Bytes> {
        let message = format!(
            r#"{{"type":"message_start","message":{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"{MODEL}","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}}}}"#
        );
        self.event("message_start", &message)
    }

    /// Returns the start of the only block.
    pub(crate) fn block_start(self) -> Result<Bytes> {
        let data = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        self.event("content_block_start", data)
    }

    /// Returns a delta that carries the time.
    pub(crate) fn delta(self, nanoseconds: u64) -> Result<Bytes> {
        self.text_delta(&format!("T{nanoseconds:020} and so on"))
    }

    /// Returns a delta with [`LARGE`] bytes of text.
    pub(crate) fn large_delta(self) -> Result<Bytes> {
        self.text_delta(&"x".repeat(LARGE))
    }

    fn text_delta(self, text: &str) -> Result<Bytes> {
        let data = format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        );
        self.event("content_block_delta", &data)
    }

    /// Returns the events that end a stream.
    pub(crate) fn end(self) -> Result<Bytes> {
        let events = [
            ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
            (
                "message_delta",
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":42}}"#,
            ),
            ("message_stop", r#"{"type":"message_stop"}"#),
        ];
        let mut out = BytesMut::new();
        for (name, data) in events {
            out.extend_from_slice(&self.event(name, data)?);
        }
        Ok(out.freeze())
    }
}

/// Returns the time of day in nanoseconds. Processes of one machine share this clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_has_its_time_after_the_stamp() {
        let event = Framing::Sse.delta(1_234).unwrap();
        let at = memchr::memmem::find(&event, STAMP).unwrap() + STAMP.len();
        assert_eq!(&event[at..at + STAMP_DIGITS], b"00000000000000001234");
        assert!(event.starts_with(b"event: content_block_delta\ndata: {") && event.ends_with(b"}\n\n"));
    }

    #[test]
    fn the_envelope_has_the_stated_number_of_events() {
        let framing = Framing::Sse;
        let parts = [framing.start().unwrap(), framing.block_start().unwrap(), framing.end().unwrap()];
        let count: usize = parts.iter().map(|part| memchr::memmem::find_iter(part, b"\n\n").count()).sum();
        assert_eq!(count as u64, ENVELOPE);
    }

    #[test]
    fn a_bedrock_event_is_one_frame_of_its_stated_length() {
        let frame = Framing::EventStream.delta(1).unwrap();
        let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        assert_eq!(length as usize, frame.len());
    }
}
