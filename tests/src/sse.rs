//! Server-sent events, as Anthropic-format upstreams write them.

use bytes::Bytes;
use serde_json::{Value, json};

/// One event: `event: NAME`, `data: JSON`, empty line.
#[must_use]
pub fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Anthropic's keep-alive.
#[must_use]
pub fn ping() -> Bytes {
    event("ping", &json!({"type": "ping"}))
}

/// An error that is reported within a stream.
#[must_use]
pub fn error(kind: &str, message: &str) -> Bytes {
    event("error", &json!({"type": "error", "error": {"type": kind, "message": message}}))
}

/// A recorded stream of `testdata/`, cut into its events.
/// # Panics
/// If there is no such file.
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
    /// After `event:`.
    pub name: String,
    /// After `data:`.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.data) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.data),
        }
    }
}

/// Reads complete events; one without its empty line is left out, as a browser would leave it out.
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
