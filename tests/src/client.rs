//! A client that sends bytes as written and shows an answer as it arrived.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http1::{End, Framing, Headers, Wire};
use crate::sse;
use crate::time_limit::within_limit;

/// A request to be sent, exactly as written here.
#[derive(Debug, Clone)]
pub struct Call {
    method: &'static str,
    target: String,
    headers: Headers,
    body: Bytes,
}

impl Call {
    /// A request with an empty body and no header but `host`, which [`bytes`](Self::bytes) adds.
    pub fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Headers::default(), body: Bytes::new() }
    }

    /// A GET request.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A POST request.
    pub fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target)
    }

    /// `POST /v1/messages?beta=true` with the headers that every client of the API sends, credentials excepted.
    pub fn messages(body: impl Into<Bytes>) -> Self {
        Self::post("/v1/messages?beta=true").header("anthropic-version", "2023-06-01").json(body)
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body and says that it is JSON.
    #[must_use]
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// The head on the wire, with `content-length` unless the call delimits its body by itself.
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

    /// Head and body on the wire.
    #[must_use]
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.head(host);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends the call over a connection of its own and collects the answer.
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

/// A whole answer, or as much of it as came.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
    /// Each chunk (of a body with a length: each read) and when it was there.
    pub chunks: Vec<(Instant, Bytes)>,
    /// How the body ended.
    pub end: End,
}

impl Response {
    /// The body in one piece.
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

    /// The body as JSON.
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body()) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.body()),
        }
    }

    /// The body as server-sent events.
    #[must_use]
    pub fn events(&self) -> Vec<sse::Event> {
        sse::parse(&self.body())
    }
}

/// One connection of a client.
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
    /// If nobody listens.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = within_limit("connection", TcpStream::connect(to)).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        let (wire, host) = (Wire::new(stream), to.to_string());
        Self { wire, host, method: "GET", framing: Framing::Length(0), end: None }
    }

    /// Sends a call in one go.
    /// # Panics
    /// If the other side is gone.
    pub async fn call(&mut self, call: &Call) {
        self.method = call.method;
        let bytes = call.bytes(&self.host);
        self.send(bytes).await;
    }

    /// Sends bytes as they are: part of a request, or anything else.
    /// # Panics
    /// If the other side is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the other side still listens");
    }

    /// As [`send`](Self::send), for a body that may be refused while it is under way.
    /// # Errors
    /// If the other side is gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within_limit("room to send", self.wire.write(bytes.as_ref())).await
    }

    /// The head of the next answer.
    /// # Panics
    /// If the connection ends instead, or what comes is no answer.
    pub async fn head(&mut self) -> ResponseHead {
        self.try_head().await.expect("an answer before the connection ends")
    }

    /// As [`head`](Self::head); `None` when the connection ends before an answer begins.
    /// # Panics
    /// If what comes is no answer.
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

    /// The next chunk of the body (of a body with a length: what has arrived), or `None` at its end, whose kind
    /// [`end`](Self::end) tells.
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

    /// Reads `expected` and no byte more, however it was cut into chunks.
    /// # Panics
    /// If something else comes, or the body ends before.
    pub async fn expect(&mut self, expected: &[u8]) {
        let mut received = BytesMut::new();
        while received.len() < expected.len() {
            match self.chunk().await {
                Some(chunk) => received.extend_from_slice(&chunk),
                None => panic!("the body ended ({:?}) behind {received:?}", self.end),
            }
        }
        assert_eq!(received, expected);
    }

    /// How the body ended; `None` as long as it has not.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The next answer, whole, or as much of it as comes.
    /// # Panics
    /// On the same conditions as [`head`](Self::head).
    pub async fn response(&mut self) -> Response {
        let ResponseHead { status, headers } = self.head().await;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk().await {
            chunks.push((Instant::now(), chunk));
        }
        Response { status, headers, chunks, end: self.end.expect("a body without further chunks has ended") }
    }

    /// Closes the connection and says when.
    pub fn disconnect(self) -> Instant {
        drop(self);
        Instant::now()
    }

    /// Resets the connection (RST) and says when.
    /// # Panics
    /// If the socket refuses `SO_LINGER`.
    pub fn reset(self) -> Instant {
        self.wire.into_io().set_zero_linger().expect("an open socket takes options");
        Instant::now()
    }

    /// Waits until the other side has closed the connection. Bytes that still come are thrown away.
    pub async fn closed(&mut self) {
        within_limit("end of the connection", self.wire.drain()).await;
    }
}
