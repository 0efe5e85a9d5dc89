//! Server-sent events in Anthropic's format.

use bytes::Bytes;
use serde_json::{Value, json};

/// Encodes one event: `event: NAME`, `data: JSON`, empty line.
#[must_use]
pub fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Encodes a `ping`, Anthropic's keep-alive event.
#[must_use]
pub fn ping() -> Bytes {
    event("ping", &json!({"type": "ping"}))
}

/// Encodes an `error` event.
#[must_use]
pub fn error(kind: &str, message: &str) -> Bytes {
    event("error", &json!({"type": "error", "error": {"type": kind, "message": message}}))
}

/// Reads a stream from `testdata/` and splits it into its events.
/// # Panics
/// If the file cannot be read.
#[must_use]
#[track_caller]
pub fn recorded(name: &str) -> Vec<Bytes> {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => panic!("{path}: {error}"),
    };
    text.split_inclusive("\n\n").map(|event| Bytes::copy_from_slice(event.as_bytes())).collect()
}

/// An event as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The value of `event:`.
    pub name: String,
    /// The value of `data:`.
    pub data: String,
}

impl Event {
    /// Parses the data as JSON.
    /// # Panics
    /// If the data is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.data) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.data),
        }
    }
}

/// Parses the complete events. Drops a last event without its empty line, as a browser does.
#[must_use]
pub fn parse(stream: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(stream);
    let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
    complete.split("\n\n").filter(|block| !block.is_empty()).map(parse_event).collect()
}

fn parse_event(block: &str) -> Event {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
    };
    Event { name: field("event"), data: field("data") }
}
