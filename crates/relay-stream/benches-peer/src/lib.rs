//! Streams to translate, and peers that translate them.
//!
//! A peer combines crates from crates.io: `aws-smithy-eventstream` for the frames, `serde_json` for the chunk
//! and the event, `base64` for the bytes of the chunk.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use relay_stream::bedrock::{Translator, write_chunk};
use serde::Deserialize;

/// The size of a chunk in bytes: the payload of a TCP segment, which is the usual read while a model
/// generates text.
pub const SEGMENT: usize = 1400;

const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A stream in chunks, with its size.
pub struct Capture {
    /// The chunks.
    pub chunks: Vec<Bytes>,
    /// The number of events.
    pub events: usize,
    /// The number of bytes in all chunks.
    pub bytes: usize,
}

impl Capture {
    /// Translates a stream of Bedrock into server-sent events, in chunks of `chunk` bytes.
    pub fn into_sse(self, chunk: usize) -> Capture {
        let (mut translator, mut out) = (Translator::new(), BytesMut::new());
        for chunk in &self.chunks {
            translator.push(chunk, &mut out).expect("a valid stream");
        }
        Capture { bytes: out.len(), chunks: in_chunks(out.freeze(), chunk), events: self.events }
    }
}

fn in_chunks(mut rest: Bytes, size: usize) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        chunks.push(rest.split_to(size.min(rest.len())));
    }
    chunks
}

/// Returns an answer of text deltas of 5 to 60 bytes, with padding as the service sends it.
pub fn text_capture(deltas: usize, chunk: usize) -> Capture {
    let mut random = fastrand::Rng::with_seed(1);
    let words = ["the ", "relay ", "keeps ", "every ", "byte; ", "\\n", "\\\"so\\\" ", "caf\u{e9} ", "0123 "];
    let events = (0..deltas).map(|_| {
        let len = random.usize(5..=60);
        let mut text = String::new();
        while text.len() < len {
            text.push_str(words[random.usize(..words.len())]);
        }
        delta("text_delta", "text", &text)
    });
    capture(events.collect(), chunk)
}

/// Returns an answer of tool input in deltas of `size` bytes: source code with the escapes of two levels of
/// JSON.
pub fn tool_capture(deltas: usize, size: usize, chunk: usize) -> Capture {
    let line = "    let value = table.get(\\\\\\\"key\\\\\\\").copied().unwrap_or_default();\\\\n";
    let text = line.repeat(size / line.len() + 1);
    capture((0..deltas).map(|_| delta("input_json_delta", "partial_json", &text)).collect(), chunk)
}

fn delta(kind: &str, field: &str, text: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"{kind}","{field}":"{text}"}}}}"#)
}

fn capture(deltas: Vec<String>, chunk: usize) -> Capture {
    let mut random = fastrand::Rng::with_seed(2);
    let mut events = vec![
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#.to_owned(),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
    ];
    events.extend(deltas);
    events.extend([
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#.to_owned(),
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":25,"outputTokenCount":15,"invocationLatency":900,"firstByteLatency":300}}"#.to_owned(),
    ]);
    let mut out = BytesMut::new();
    for event in &events {
        let padding = &PADDING[..random.usize(3..=PADDING.len())];
        write_chunk(event.as_bytes(), padding, &mut out).expect("an event fits a frame");
    }
    Capture { bytes: out.len(), chunks: in_chunks(out.freeze(), chunk), events: events.len() }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    bytes: &'a str,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: &'a str,
}

/// Translates with the straightforward peer: it parses the event into a [`serde_json::Value`], removes the
/// metrics, and serializes the value.
pub fn peer_value(chunks: &[Bytes], sink: impl FnMut(&[u8])) {
    peer(chunks, sink, |json, out| {
        let mut event: serde_json::Value = serde_json::from_slice(json).expect("an event is JSON");
        event.as_object_mut().expect("an object").remove("amazon-bedrock-invocationMetrics");
        let name = event["type"].as_str().expect("a type");
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    });
}

/// Translates with the tuned peer: it parses only the type of the event, without a copy, and copies the bytes
/// of the event. It does not remove the metrics.
pub fn peer_borrowed(chunks: &[Bytes], sink: impl FnMut(&[u8])) {
    peer(chunks, sink, |json, out| {
        let event: Event<'_> = serde_json::from_slice(json).expect("an event is JSON");
        for part in ["event: ".as_bytes(), event.r#type.as_bytes(), b"\ndata: ", json, b"\n\n"] {
            out.extend_from_slice(part);
        }
    });
}

fn peer(chunks: &[Bytes], mut sink: impl FnMut(&[u8]), mut write: impl FnMut(&[u8], &mut BytesMut)) {
    let (mut decoder, mut input, mut out) = (MessageFrameDecoder::new(), BytesMut::new(), BytesMut::new());
    for chunk in chunks {
        input.extend_from_slice(chunk);
        while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut input).expect("a valid frame") {
            let is = |name: &str, value: &str| {
                let header = message.headers().iter().find(|header| header.name().as_str() == name);
                header
                    .and_then(|header| header.value().as_string().ok())
                    .is_some_and(|text| text.as_str() == value)
            };
            if is(":message-type", "event") && is(":event-type", "chunk") {
                let chunk: Chunk<'_> = serde_json::from_slice(message.payload()).expect("a chunk is JSON");
                let json = STANDARD.decode(chunk.bytes).expect("its bytes are base64");
                write(&json, &mut out);
            }
        }
        sink(&out);
        out.clear();
    }
}
