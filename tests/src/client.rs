//! A client that sends bytes unchanged and returns each answer as it arrived.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

use crate::http1::{End, Framing, Headers, Wire};
use crate::sse;
use crate::time_limit::within_limit;

/// A request to send, byte for byte as described.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    target: String,
    headers: Headers,
    body: Bytes,
}

impl Call {
    /// Creates a request with an empty body and no header except `host`, which [`bytes`](Self::bytes) adds.
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Headers::default(), body: Bytes::new() }
    }

    /// Creates a GET request.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// Creates a POST request.
    pub fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target)
    }

    /// Creates a `POST /v1/messages?beta=true` with the headers that every client of the API sends, without credentials.
    pub fn messages(body: impl Into<Bytes>) -> Self {
        Self::post("/v1/messages?beta=true").header("anthropic-version", "2023-06-01").json(body)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body and `content-type: application/json`.
    #[must_use]
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// Encodes the head. Adds `content-length` unless the call has a header that delimits the body.
    #[must_use]
    pub fn head(&self, host: &str) -> Vec<u8> {
        let mut headers = self.headers.clone();
        headers.set("host", headers.get("host").unwrap_or(host).to_owned());
        let delimited = headers.contains("content-length") || headers.contains("transfer-encoding");
        if !delimited && (!self.body.is_empty() || self.method == "POST") {
            headers.push("content-length", self.body.len().to_string());
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        headers.write_to(&mut head);
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Encodes head and body.
    #[must_use]
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.head(host);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends the call over a new connection and collects the answer.
    pub async fn send(&self, to: SocketAddr) -> Response {
        let mut client = Client::connect(to).await;
        client.call(self).await;
        client.response().await
    }
}

/// Status and header lines of an answer.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
}

/// An answer. It may be incomplete: see [`end`](Self::end).
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
    /// Each chunk (of a body with a length: each read) and the time of its arrival.
    pub chunks: Vec<(Instant, Bytes)>,
    /// The end of the body.
    pub end: End,
}

impl Response {
    /// Returns the body in one piece.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.chunks
            .iter()
            .fold(BytesMut::new(), |mut all, (_, piece)| {
                all.extend_from_slice(piece);
                all
            })
            .freeze()
    }

    /// Parses the body as JSON.
    /// # Panics
    /// If the body is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body()) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.body()),
        }
    }

    /// Returns the text of a message, from its JSON or from its stream.
    /// # Panics
    /// If the status is not 200, if a stream is incomplete, or if JSON does not start with a text block.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        assert_eq!(self.status, 200, "{:?}", self.body());
        let content_type = self.headers.get("content-type").unwrap_or_default();
        if !content_type.starts_with("text/event-stream") {
            return self.json()["content"][0]["text"].as_str().expect("a text block").to_owned();
        }
        assert_eq!(self.end, End::Complete);
        let events = self.events().into_iter().map(|event| event.json());
        events.filter_map(|event| Some(event["delta"]["text"].as_str()?.to_owned())).collect()
    }

    /// Parses the body as server-sent events.
    #[must_use]
    pub fn events(&self) -> Vec<sse::Event> {
        sse::parse(&self.body())
    }
}

/// A connection of a client.
#[derive(Debug)]
pub struct Client {
    wire: Wire<TcpStream>,
    host: String,
    method: &'static str,
    framing: Framing,
    end: Option<End>,
}

impl Client {
    /// Connects.
    /// # Panics
    /// If the connection is refused.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = within_limit("connection", TcpStream::connect(to)).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        let (wire, host) = (Wire::new(stream), to.to_string());
        Self { wire, host, method: "GET", framing: Framing::Length(0), end: None }
    }

    /// Connects with a receive buffer of about `size` bytes, so that the server notices when the client does not read.
    /// # Panics
    /// If the connection is refused.
    pub async fn connect_with_buffer(to: SocketAddr, size: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(size).expect("a fresh socket takes options");
        let stream = within_limit("connection", socket.connect(to)).await.expect("the server listens");
        let (wire, host) = (Wire::new(stream), to.to_string());
        Self { wire, host, method: "GET", framing: Framing::Length(0), end: None }
    }

    /// Sends a call in one write.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn call(&mut self, call: &Call) {
        self.method = call.method;
        let bytes = call.bytes(&self.host);
        self.send(bytes).await;
    }

    /// Sends arbitrary bytes, such as part of a request.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the connection is open");
    }

    /// Sends bytes to a peer that may close the connection meanwhile.
    /// # Errors
    /// If the peer has closed the connection.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within_limit("room to send", self.wire.write(bytes.as_ref())).await
    }

    /// Reads the head of the next answer.
    /// # Panics
    /// If the connection ends first, or if the bytes are not an HTTP/1.1 answer.
    pub async fn head(&mut self) -> ResponseHead {
        self.try_head().await.expect("an answer before the connection ends")
    }

    /// Reads the head of the next answer. Returns `None` if the connection ends before an answer begins.
    /// # Panics
    /// If the bytes are not an HTTP/1.1 answer.
    pub async fn try_head(&mut self) -> Option<ResponseHead> {
        let head = match within_limit("answer", self.wire.read_head()).await {
            Ok(head) => head?,
            Err(error) => panic!("not an answer: {error}"),
        };
        let status = head.start_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let Some(status) = status else { panic!("not a status line: {:?}", head.start_line) };
        let bodiless = self.method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
        self.framing = if bodiless {
            Framing::Length(0)
        } else {
            head.framing(Framing::UntilClose).unwrap_or_else(|error| panic!("not an answer: {error}"))
        };
        self.end = None;
        Some(ResponseHead { status, headers: head.headers })
    }

    /// Reads the next chunk of the body. Of a body with a length, reads the bytes that have arrived.
    ///
    /// Returns `None` at the end of the body. Then [`end`](Self::end) returns the kind of end.
    /// # Panics
    /// If the chunked coding is malformed.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let unmarked = self.framing == Framing::UntilClose;
        match within_limit("further chunk", self.wire.read_piece(&mut self.framing)).await {
            Ok(Some(piece)) => return Some(piece),
            Ok(None) if unmarked => self.end = Some(End::Closed),
            Ok(None) => self.end = Some(End::Complete),
            Err(error) => match error.end() {
                Some(end) => self.end = Some(end),
                None => panic!("{error}"),
            },
        }
        None
    }

    /// Reads exactly `expected`, in chunks of any size.
    /// # Panics
    /// If other bytes arrive, or if the body ends first.
    pub async fn expect(&mut self, expected: &[u8]) {
        let mut received = BytesMut::new();
        while received.len() < expected.len() {
            match self.chunk().await {
                Some(chunk) => received.extend_from_slice(&chunk),
                None => panic!("the body ended ({:?}) after {received:?}", self.end),
            }
        }
        assert_eq!(received, expected);
    }

    /// Returns the kind of end of the body, or `None` before the end.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Reads the next answer up to the end of its body.
    /// # Panics
    /// If the connection ends before the head, or if the bytes are not an HTTP/1.1 answer.
    pub async fn response(&mut self) -> Response {
        let ResponseHead { status, headers } = self.head().await;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk().await {
            chunks.push((Instant::now(), chunk));
        }
        Response { status, headers, chunks, end: self.end.expect("a body without further chunks has ended") }
    }

    /// Sends FIN, and keeps the side that receives open.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn close_write_side(&mut self) {
        self.wire.shut_down().await.expect("the connection is open");
    }

    /// Closes the connection and returns the time.
    pub fn disconnect(self) -> Instant {
        drop(self);
        Instant::now()
    }

    /// Resets the connection (RST) and returns the time.
    /// # Panics
    /// If the socket refuses `SO_LINGER`.
    pub fn reset(self) -> Instant {
        self.wire.into_io().set_zero_linger().expect("an open socket takes options");
        Instant::now()
    }

    /// Waits until the peer has closed the connection, and discards the bytes that arrive before.
    pub async fn closed(&mut self) {
        within_limit("end of the connection", self.wire.drain()).await;
    }
}
