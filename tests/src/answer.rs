//! An answer of a scripted upstream as data, faults included.

use bytes::Bytes;
use serde_json::Value;

use crate::compress::{Coding, compress};
use crate::http1::{self, Headers};

/// An answer that a scripted upstream sends.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
    pub(crate) ending: Ending,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A body with `content-length`, in the same write as the head.
    Whole(Bytes),
    /// A chunked body. Every piece is a chunk and a separate write.
    Pieces(Vec<Bytes>),
}

/// The state of the connection after the last byte of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The answer is complete, and the connection stays open.
    Clean,
    /// The connection is closed with FIN. A chunked body has no last chunk.
    Fin,
    /// The connection is reset with RST. A chunked body has no last chunk.
    Reset,
}

impl Answer {
    /// Creates an answer with this status and an empty body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let body = Body::Whole(Bytes::new());
        Self { status, headers: Headers::default(), body, ending: Ending::Clean }
    }

    /// Creates an answer with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).with_header("content-type", "application/json").with_body(body.to_string())
    }

    /// Creates an answer with a text or HTML body.
    #[must_use]
    pub fn text(status: u16, content_type: &str, body: &'static str) -> Self {
        Self::new(status).with_header("content-type", content_type).with_body(body)
    }

    /// Creates a 200 with `events` as server-sent events, one chunk and one write each.
    pub fn sse(events: impl IntoIterator<Item = Bytes>) -> Self {
        Self { body: Body::Pieces(events.into_iter().collect()), ..Self::event_stream() }
    }

    /// Creates an answer with `pieces` as a chunked body, one chunk and one write each.
    #[must_use]
    pub fn pieces(status: u16, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { body: Body::Pieces(pieces.into_iter().collect()), ..Self::new(status) }
    }

    /// Returns the head of a 200 with server-sent events, for [`Connection::send_head`](crate::Connection::send_head).
    #[must_use]
    pub fn event_stream() -> Self {
        let answer = Self::new(200).with_header("content-type", "text/event-stream; charset=utf-8");
        Self { body: Body::Pieces(Vec::new()), ..answer.with_header("cache-control", "no-cache") }
    }

    /// Adds a header line.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Replaces the `content-type`.
    #[must_use]
    pub fn with_content_type(mut self, media_type: &str) -> Self {
        self.headers.set("content-type", media_type.to_owned());
        self
    }

    /// Replaces the body by one with `content-length`.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// Sends this `content-length` regardless of the body's length.
    #[must_use]
    pub fn with_content_length(self, length: usize) -> Self {
        self.with_header("content-length", length.to_string())
    }

    /// Compresses the whole body and sets `content-encoding`.
    pub async fn compressed(mut self, coding: Coding) -> Self {
        let plain = match &self.body {
            Body::Whole(body) => body.to_vec(),
            Body::Pieces(pieces) => pieces.concat(),
        };
        let packed = Bytes::from(compress(coding, &plain).await);
        self.body = match self.body {
            Body::Whole(_) => Body::Whole(packed),
            Body::Pieces(_) => Body::Pieces(vec![packed]),
        };
        self.with_header("content-encoding", coding.token())
    }

    /// Sets the state of the connection after the answer.
    #[must_use]
    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// True if the connection ends with this answer.
    pub(crate) fn closes(&self) -> bool {
        self.ending != Ending::Clean || self.headers.get("connection") == Some("close")
    }

    /// Returns the status line and the header lines, including the one that delimits the body.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut headers = self.headers.clone();
        match &self.body {
            Body::Whole(body) if !headers.contains("content-length") => {
                headers.push("content-length", body.len().to_string());
            }
            Body::Whole(_) => {}
            Body::Pieces(_) => headers.push("transfer-encoding", "chunked"),
        }
        // An unusual reason phrase shows whether any code relies on it.
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        headers.write_to(&mut head);
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Encodes `payload` as one chunk.
    #[must_use]
    pub fn chunk(payload: &[u8]) -> Vec<u8> {
        http1::chunk(payload)
    }

    /// Returns the writes that the answer consists of. The answer to HEAD is only its head (RFC 9110 section 9.3.2).
    pub(crate) fn writes(&self, method: &str) -> Vec<Vec<u8>> {
        let mut writes = vec![self.head()];
        match &self.body {
            _ if method == "HEAD" => {}
            Body::Whole(body) => writes[0].extend_from_slice(body),
            Body::Pieces(pieces) => {
                writes.extend(pieces.iter().map(|piece| http1::chunk(piece)));
                if self.ending == Ending::Clean {
                    writes.push(http1::LAST_CHUNK.to_vec());
                }
            }
        }
        writes
    }
}
