//! A request as an upstream received it.

use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::http1::{Framing, Head, Headers, Wire, WireError};

/// A request, byte for byte as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method in the request line.
    pub method: String,
    /// The target in the request line, with its query.
    pub target: String,
    /// The header lines.
    pub headers: Headers,
    /// Request line and header lines as received, up to and with the empty line.
    pub head: Bytes,
    /// The body, with a chunked coding removed.
    pub body: Bytes,
    /// The number of its connection: 0 for the first that the upstream accepted.
    pub connection: usize,
    /// The time at which its last byte arrived. If the body was not read: the time at which its head arrived.
    pub at: Instant,
}

impl Request {
    pub(crate) fn new(head: Head, connection: usize) -> Result<Self, WireError> {
        let parts: Vec<&str> = head.start_line.split(' ').collect();
        let &[method, target, "HTTP/1.1"] = parts.as_slice() else {
            return Err(WireError::Malformed { part: "request line", found: head.start_line });
        };
        Ok(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: head.headers,
            head: head.raw,
            body: Bytes::new(),
            connection,
            at: Instant::now(),
        })
    }

    /// Parses every request in `bytes`, as a [`Tee`](crate::Tee) recorded them. Drops an incomplete last one.
    pub(crate) async fn parse_all(bytes: &[u8], connection: usize) -> Result<Vec<Self>, WireError> {
        let mut wire = Wire::new(tokio::io::join(bytes, tokio::io::sink()));
        let mut requests = Vec::new();
        loop {
            let head = match wire.read_head().await {
                Ok(Some(head)) => head,
                Ok(None) | Err(WireError::Ended { .. }) => return Ok(requests),
                Err(error) => return Err(error),
            };
            let framing = head.framing(Framing::Length(0))?;
            let mut request = Self::new(head, connection)?;
            match wire.read_body(framing).await {
                Ok(body) => request.body = body,
                Err(WireError::Ended { .. }) => return Ok(requests),
                Err(error) => return Err(error),
            }
            requests.push(request);
        }
    }

    /// Returns the target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// Returns the first value of a header.
    /// # Panics
    /// If the request has no such header.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    /// Parses the body as JSON.
    /// # Panics
    /// If the body is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.body),
        }
    }

    /// True if the head or the body contains `text`. For secrets that must not reach the upstream.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        // The search of the standard library is optimised in debug builds, too.
        let contains = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
        contains(&self.head) || contains(&self.body)
    }
}
