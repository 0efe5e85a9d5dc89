//! An answer as data, faults included.

use bytes::Bytes;
use serde_json::Value;

use crate::compress::{Coding, compress};
use crate::http1::{self, Headers};

/// What an upstream answers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
    pub(crate) ending: Ending,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// With `content-length`, in one write with the head.
    Whole(Bytes),
    /// Chunked: every piece is a chunk and a write of its own.
    Pieces(Vec<Bytes>),
}

/// What happens to the connection behind the last byte of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The answer ends as it should, and the connection stays open.
    Clean,
    /// Closed with FIN; a chunked body stays without its last chunk.
    Fin,
    /// Reset with RST; a chunked body stays without its last chunk.
    Reset,
}

impl Answer {
    /// A status with an empty body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let body = Body::Whole(Bytes::new());
        Self { status, headers: Headers::default(), body, ending: Ending::Clean }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).with_header("content-type", "application/json").with_body(body.to_string())
    }

    /// A text or HTML body.
    #[must_use]
    pub fn text(status: u16, content_type: &str, body: &'static str) -> Self {
        Self::new(status).with_header("content-type", content_type).with_body(body)
    }

    /// A 200 with `events` as server-sent events, one chunk and one write each.
    pub fn sse(events: impl IntoIterator<Item = Bytes>) -> Self {
        Self { body: Body::Pieces(events.into_iter().collect()), ..Self::event_stream() }
    }

    /// `pieces` as a chunked body, one chunk and one write each.
    #[must_use]
    pub fn pieces(status: u16, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { body: Body::Pieces(pieces.into_iter().collect()), ..Self::new(status) }
    }

    /// The head of a 200 with server-sent events, for [`Connection::send_head`](crate::Connection::send_head).
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

    /// Replaces the body by one with `content-length`.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// States this `content-length`, whatever the body's is.
    #[must_use]
    pub fn with_content_length(self, length: usize) -> Self {
        self.with_header("content-length", length.to_string())
    }

    /// Compresses the body as a whole and says so in `content-encoding`.
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

    /// Ends in this way.
    #[must_use]
    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Does the connection end with this answer?
    pub(crate) fn closes(&self) -> bool {
        self.ending != Ending::Clean || self.headers.get("connection") == Some("close")
    }

    /// Status line and header lines, with the one that delimits the body.
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
        // A reason phrase of our own shows whether anybody relies on it.
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        headers.write_to(&mut head);
        head.extend_from_slice(b"\r\n");
        head
    }

    /// `payload` as one chunk on the wire.
    #[must_use]
    pub fn chunk(payload: &[u8]) -> Vec<u8> {
        http1::chunk(payload)
    }

    /// The writes that the answer consists of. The answer to HEAD is its head alone (RFC 9110 section 9.3.2).
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
