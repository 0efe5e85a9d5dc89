//! HTTP/1.1 message syntax (RFC 9112), for both ends.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest head that is accepted, in bytes.
const MAX_HEAD: usize = 256 * 1024;

/// Header lines in their order and case on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Returns the first value of `name`, ignoring case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// True if there is a line of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns every line as `(name, value)`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Adds a line at the end.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Replaces every line of `name` by one at the end.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.push(name, value);
    }

    /// Encodes the lines. Values are Latin-1, as [`Head::parse`] decodes them.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend(value.chars().map(|c| c as u8));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A start line and its header lines.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) start_line: String,
    pub(crate) headers: Headers,
    pub(crate) raw: Bytes,
}

impl Head {
    /// Parses the bytes up to and including the empty line.
    pub(crate) fn parse(raw: Bytes) -> Result<Self, WireError> {
        let malformed = |part| WireError::Malformed { part, found: latin1(&raw) };
        let text = raw.strip_suffix(b"\r\n\r\n").ok_or_else(|| malformed("end of the head"))?;
        let mut lines = split_crlf(text);
        let start_line = lines.next().map(latin1).ok_or_else(|| malformed("start line"))?;
        let mut headers = Headers::default();
        for line in lines {
            let colon = line.iter().position(|&b| b == b':').ok_or_else(|| malformed("header line"))?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.is_empty() || !name.iter().all(|&b| is_token(b)) || line.contains(&b'\n') {
                return Err(malformed("header line"));
            }
            headers.push(latin1(name), latin1(value.trim_ascii()));
        }
        Ok(Self { start_line, headers, raw })
    }

    /// Returns the framing of the body that follows, or `default` if no header determines it.
    pub(crate) fn framing(&self, default: Framing) -> Result<Framing, WireError> {
        let malformed = |part, found: &str| WireError::Malformed { part, found: found.to_owned() };
        let mut lengths = self.headers.all("content-length");
        let mut codings = self.headers.all("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(default),
            (Some(length), None) if lengths.next().is_none() => {
                // `parse` alone would accept "+5".
                let digits = length.bytes().all(|b| b.is_ascii_digit());
                let length = length.parse().ok().filter(|_| digits);
                length.map(Framing::Length).ok_or_else(|| malformed("content-length", &self.start_line))
            }
            (None, Some("chunked")) if codings.next().is_none() => Ok(Framing::Chunked),
            _ => Err(malformed("combination of content-length and transfer-encoding", &self.start_line)),
        }
    }
}

/// The framing of a body, with the length of its unread rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A body with this many unread bytes.
    Length(u64),
    /// A chunked body.
    Chunked,
    /// A body that lasts until the connection ends.
    UntilClose,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All bytes of `content-length`, or the last chunk, arrived.
    Complete,
    /// The connection was closed after a body without a length. The receiver cannot know if the body is complete.
    Closed,
    /// The connection was closed (FIN) within the body.
    Broken,
    /// The connection was reset (RST) within the body.
    Reset,
}

impl End {
    /// True if the receiver knows that part of the body is missing.
    #[must_use]
    pub fn is_broken(self) -> bool {
        matches!(self, Self::Broken | Self::Reset)
    }
}

/// An error in reading an HTTP/1.1 message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection ended within {part}")]
    Ended { part: &'static str },
    #[error("malformed {part}: {found:?}")]
    Malformed { part: &'static str, found: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WireError {
    /// Returns the end of a body that this error means, or `None` if bytes were malformed rather than missing.
    pub(crate) fn end(&self) -> Option<End> {
        match self {
            Self::Ended { .. } => Some(End::Broken),
            Self::Io(_) => Some(End::Reset),
            Self::Malformed { .. } => None,
        }
    }
}

/// A connection with a read buffer.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    io: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    pub(crate) fn into_io(self) -> S {
        self.io
    }

    /// Waits for a first byte. Returns `false` if the connection ends instead.
    pub(crate) async fn wait_for_byte(&mut self) -> bool {
        !self.buffer.is_empty() || matches!(self.fill().await, Ok(1..))
    }

    /// Reads the next head. Returns `None` if the connection ends before its first byte.
    pub(crate) async fn read_head(&mut self) -> Result<Option<Head>, WireError> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(WireError::Malformed {
                    part: "head, too large",
                    found: latin1(&self.buffer[..80]),
                });
            }
            match self.fill().await {
                Ok(1..) => {}
                Ok(0) | Err(_) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(WireError::Ended { part: "a head" }),
                Err(error) => return Err(error.into()),
            }
        };
        Head::parse(self.buffer.split_to(end).freeze()).map(Some)
    }

    /// Reads the next piece of a body: one chunk of a chunked body, else the bytes that have arrived. Returns `None` at
    /// the end of a complete body.
    pub(crate) async fn read_piece(&mut self, framing: &mut Framing) -> Result<Option<Bytes>, WireError> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(WireError::Ended { part: "a body with content-length" });
                }
                let take = self.buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                Ok(Some(self.buffer.split_to(take).freeze()))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(self.buffer.split().freeze()))
            }
            Framing::Chunked => {
                let piece = self.read_chunk().await?;
                if piece.is_none() {
                    *framing = Framing::Length(0);
                }
                Ok(piece)
            }
        }
    }

    /// Reads the rest of a body.
    pub(crate) async fn read_body(&mut self, mut framing: Framing) -> Result<Bytes, WireError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.read_piece(&mut framing).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    async fn read_chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        let line = self.read_line().await?;
        let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits).ok().and_then(|d| usize::from_str_radix(d, 16).ok());
        let Some(size) = size else {
            return Err(WireError::Malformed { part: "chunk size", found: latin1(&line) });
        };
        if size == 0 {
            while !self.read_line().await?.is_empty() {} // trailers
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            if self.fill().await? == 0 {
                return Err(WireError::Ended { part: "a chunk" });
            }
        }
        let chunk = self.buffer.split_to(size).freeze();
        if &self.buffer[..2] != b"\r\n" {
            return Err(WireError::Malformed { part: "end of a chunk", found: latin1(&self.buffer[..2]) });
        }
        self.buffer.advance(2);
        Ok(Some(chunk))
    }

    async fn read_line(&mut self) -> Result<Bytes, WireError> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.split_to(at).freeze();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(WireError::Ended { part: "a chunked body" });
            }
        }
    }

    /// Reads and discards all bytes until the peer closes the connection.
    pub(crate) async fn drain(&mut self) {
        self.buffer.clear();
        while matches!(self.fill().await, Ok(1..)) {
            self.buffer.clear();
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends FIN (over TLS: close_notify, then FIN).
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 * 1024);
        self.io.read_buf(&mut self.buffer).await
    }
}

/// Encodes `payload` as one chunk. Returns no bytes for an empty payload, since an empty chunk would end the body.
pub(crate) fn chunk(payload: &[u8]) -> Vec<u8> {
    if payload.is_empty() {
        return Vec::new();
    }
    let mut out = format!("{:x}\r\n", payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out
}

/// The chunk that ends a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Decodes Latin-1: each byte becomes the character with its number.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn split_crlf(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.windows(2).position(|w| w == b"\r\n") {
            Some(at) => {
                rest = Some(&text[at + 2..]);
                Some(&text[..at])
            }
            None => rest.take(),
        }
    })
}

/// True if `byte` may be part of a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
