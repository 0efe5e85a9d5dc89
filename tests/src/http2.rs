//! HTTP/2 with control over each frame: an upstream over TLS, and a client with prior knowledge.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::rewriting_io::{MARKED_WINDOW, Rewrite, RewritingIo};
use crate::time_limit::within_limit;
use crate::tls::{CertificateAuthority, Io};
use crate::upstream::Upstream;

/// A server on `127.0.0.1` that offers only `h2` by ALPN, and hands every request to the test.
#[derive(Debug)]
pub struct Http2Upstream {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    exchanges: Mutex<mpsc::UnboundedReceiver<Http2Exchange>>,
    accepting: AbortHandle,
    http1: Arc<OnceLock<SocketAddr>>,
    rewrite: Rewrite,
    commands: broadcast::Sender<Command>,
}

/// A command for every open connection.
#[derive(Debug, Clone, Copy)]
enum Command {
    SendSettings,
    GoAway,
}

/// The parts of an upstream that every connection has.
#[derive(Clone)]
struct Settings {
    authority: CertificateAuthority,
    max_streams: Option<u32>,
    max_connections: usize,
    /// The server for connections that do not negotiate HTTP/2.
    http1: Arc<OnceLock<SocketAddr>>,
    exchanges: mpsc::UnboundedSender<Http2Exchange>,
    rewrite: Rewrite,
    commands: broadcast::Sender<Command>,
}

impl Http2Upstream {
    /// Listens, with a certificate of `authority`, and allows any number of streams.
    /// # Panics
    /// If the system has no free port.
    pub async fn start(authority: &CertificateAuthority) -> Self {
        Self::listen(authority, None, usize::MAX).await
    }

    /// Listens, and allows `max_streams` concurrent streams on each connection. Further ones are refused.
    /// # Panics
    /// If the system has no free port.
    pub async fn with_max_streams(authority: &CertificateAuthority, max_streams: u32) -> Self {
        Self::listen(authority, Some(max_streams), usize::MAX).await
    }

    /// Listens, allows `max_streams` concurrent streams on each connection, and closes every connection after the first
    /// `max_connections` at once.
    /// # Panics
    /// If the system has no free port.
    pub async fn with_limits(
        authority: &CertificateAuthority,
        max_streams: u32,
        max_connections: usize,
    ) -> Self {
        Self::listen(authority, Some(max_streams), max_connections).await
    }

    async fn listen(
        authority: &CertificateAuthority,
        max_streams: Option<u32>,
        max_connections: usize,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let (exchanges, receiver) = mpsc::unbounded_channel();
        let (commands, _) = broadcast::channel(16);
        let rewrite = Rewrite::default();
        let http1 = Arc::default();
        let settings = Settings {
            authority: authority.clone(),
            max_streams,
            max_connections,
            http1: Arc::clone(&http1),
            exchanges,
            rewrite: rewrite.clone(),
            commands: commands.clone(),
        };
        let accepting = tokio::spawn(accept(listener, Arc::clone(&accepted), settings)).abort_handle();
        Self { address, accepted, exchanges: Mutex::new(receiver), accepting, http1, rewrite, commands }
    }

    /// Passes the connections that do not negotiate HTTP/2 on to `http1`, which has to expect the [host](Self::host).
    pub fn serve_http1_by(&self, http1: &Upstream) {
        self.http1.set(http1.address()).expect("the first call");
    }

    /// Returns `localhost:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Sends a further SETTINGS frame with this limit of streams on every open connection. The upstream itself does not
    /// enforce it.
    pub fn set_max_streams(&self, max: u32) {
        self.rewrite.set_max_streams(max);
        // An error means that there is no connection.
        let _ = self.commands.send(Command::SendSettings);
    }

    /// Sends GOAWAY with `NO_ERROR` and 0 as the last stream identifier on every open connection: no request was processed.
    pub fn go_away_from_the_first(&self) {
        self.rewrite.go_away_from_the_first();
        // An error means that there is no connection.
        let _ = self.commands.send(Command::GoAway);
    }

    /// Returns `https://localhost:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Returns the number of accepted connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits for the next complete request.
    /// # Panics
    /// If no request arrives within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn exchange(&self) -> Http2Exchange {
        let mut exchanges = self.exchanges.lock().await;
        let next = within_limit("request for the upstream", exchanges.recv()).await;
        next.expect("the accepting task lives as long as the upstream")
    }
}

impl Drop for Http2Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until it is aborted, which also ends the connections.
async fn accept(listener: TcpListener, accepted: Arc<AtomicUsize>, settings: Settings) {
    let mut running = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a fresh socket takes options");
        let number = accepted.fetch_add(1, Ordering::Relaxed);
        if number >= settings.max_connections {
            continue;
        }
        let settings = settings.clone();
        running.spawn(async move {
            // The peer sees a failure as well.
            if let Ok(mut io) = settings.authority.accept_http2(stream).await {
                let _ = match settings.http1.get() {
                    Some(address) if !io.is_http2() => {
                        let mut http1 = TcpStream::connect(*address).await.expect("the upstream listens");
                        tokio::io::copy_bidirectional(&mut io, &mut http1).await.is_ok()
                    }
                    _ => serve(io, number, settings).await.is_ok(),
                };
            }
        });
    }
}

async fn serve(io: Io, number: usize, settings: Settings) -> Result<(), h2::Error> {
    let mut commands = settings.commands.subscribe();
    let mut builder = server::Builder::new();
    if let Some(max) = settings.max_streams {
        builder.max_concurrent_streams(max);
    }
    let io = RewritingIo::new(io, settings.rewrite);
    let mut connection = builder.handshake(io).await?;
    let exchanges = settings.exchanges;
    let (go_away, mut go_away_requests) = mpsc::unbounded_channel();
    let mut reading = JoinSet::new();
    loop {
        // `accept` also drives the open streams.
        tokio::select! {
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted?;
                let (exchanges, go_away) = (exchanges.clone(), go_away.clone());
                reading.spawn(async move {
                    let (parts, mut body) = request.into_parts();
                    let mut whole = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        whole.extend_from_slice(&data);
                        // An error means that the stream has ended.
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    let request = Request::from_parts(parts, Bytes::from(whole));
                    // An error means that the test has ended.
                    let _ = exchanges.send(Http2Exchange { number, request, respond, stream: None, go_away });
                });
            }
            Ok(command) = commands.recv() => match command {
                Command::SendSettings => connection.set_initial_window_size(MARKED_WINDOW)?,
                Command::GoAway => connection.graceful_shutdown(),
            },
            Some(shutdown) = go_away_requests.recv() => match shutdown {
                Reason::NO_ERROR => connection.graceful_shutdown(),
                reason => connection.abrupt_shutdown(reason),
            },
        }
    }
}

/// A request at an [`Http2Upstream`], and the stream for its answer.
#[derive(Debug)]
pub struct Http2Exchange {
    number: usize,
    request: Request<Bytes>,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    go_away: mpsc::UnboundedSender<Reason>,
}

impl Http2Exchange {
    /// Returns the number of the connection: 0 for the first that the upstream accepted.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.number
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// Sends the head of an informational response (1xx).
    /// # Panics
    /// If the stream is closed.
    pub fn send_informational(&mut self, status: u16) {
        let head = Response::builder().status(status).body(()).expect("a valid head");
        self.respond.send_informational(head).expect("an open stream");
    }

    /// Sends the head of a 200 with this content type.
    /// # Panics
    /// If the stream is closed.
    pub fn send_head(&mut self, content_type: &str) {
        let head = Response::builder().header("content-type", content_type).body(()).expect("a valid head");
        self.stream = Some(self.respond.send_response(head, false).expect("an open stream"));
    }

    /// Sends one DATA frame.
    /// # Panics
    /// If [`send_head`](Self::send_head) was not called, or if the stream is closed.
    pub fn data(&mut self, data: impl Into<Bytes>) {
        self.stream().send_data(data.into(), false).expect("an open stream");
    }

    /// Ends the answer with END_STREAM.
    /// # Panics
    /// If [`send_head`](Self::send_head) was not called, or if the stream is closed.
    pub fn finish(&mut self) {
        self.stream().send_data(Bytes::new(), true).expect("an open stream");
    }

    /// Sends RST_STREAM, before or during the answer.
    pub fn reset(mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Sends GOAWAY. With `NO_ERROR` open streams continue; with any other reason the connection ends at once.
    pub fn go_away(&self, reason: Reason) {
        // An error means that the connection has ended.
        let _ = self.go_away.send(reason);
    }

    /// Returns a function that sends GOAWAY, also after the stream has ended.
    pub fn go_away_later(&self) -> impl FnOnce(Reason) + use<> {
        let go_away = self.go_away.clone();
        move |reason| {
            // An error means that the connection has ended.
            let _ = go_away.send(reason);
        }
    }

    /// Waits until the peer resets the stream, and returns the error code.
    /// # Panics
    /// If [`send_head`](Self::send_head) was not called, or if the connection breaks instead.
    pub async fn peer_reset(&mut self) -> Reason {
        let stream = self.stream();
        within_limit("reset of the stream", poll_fn(|cx| stream.poll_reset(cx))).await.expect("a reset")
    }

    /// Waits until the peer resets the stream before any answer, and returns the error code.
    /// # Panics
    /// If the connection breaks instead.
    pub async fn peer_reset_before_head(&mut self) -> Reason {
        let respond = &mut self.respond;
        within_limit("reset of the stream", poll_fn(|cx| respond.poll_reset(cx))).await.expect("a reset")
    }

    fn stream(&mut self) -> &mut SendStream<Bytes> {
        self.stream.as_mut().expect("an answer has been started")
    }
}

/// A client that speaks cleartext HTTP/2 with prior knowledge (RFC 9113 section 3.3).
#[derive(Debug)]
pub struct Http2Client {
    requests: SendRequest<Bytes>,
    host: String,
    driving: AbortHandle,
    ended: watch::Receiver<()>,
}

impl Http2Client {
    /// Connects, and sends the preface.
    /// # Panics
    /// If the connection is refused.
    pub async fn connect(to: SocketAddr) -> Self {
        Self::connect_with(to, &h2::client::Builder::new()).await
    }

    /// Connects, and gives each stream a window of this many bytes. The window of the connection is large.
    /// # Panics
    /// If the connection is refused.
    pub async fn connect_with_window(to: SocketAddr, window: u32) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(64 * 1024 * 1024);
        Self::connect_with(to, &builder).await
    }

    async fn connect_with(to: SocketAddr, builder: &h2::client::Builder) -> Self {
        let stream = within_limit("connection", TcpStream::connect(to)).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        let (requests, connection) = builder.handshake(stream).await.expect("a socket takes a preface");
        // A failure of the connection is reported by its streams.
        let (running, ended) = watch::channel(());
        let driving = tokio::spawn(async move {
            drop(connection.await);
            drop(running);
        });
        Self { requests, host: to.to_string(), driving: driving.abort_handle(), ended }
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        // The error is the end of the sender.
        let _ = self.ended.clone().changed().await;
    }

    /// Posts JSON and waits for the head of the answer.
    /// # Errors
    /// If the stream or the connection is refused.
    /// # Panics
    /// If no answer arrives within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn post(&self, target: &str, body: impl Into<Bytes>) -> Result<Http2Answer, h2::Error> {
        let request = Request::post(format!("http://{}{target}", self.host))
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(())
            .expect("a valid head");
        let mut requests = within_limit("room for a stream", self.requests.clone().ready()).await?;
        let (response, mut stream) = requests.send_request(request, false)?;
        stream.send_data(body.into(), true)?;
        let (parts, body) = within_limit("answer", response).await?.into_parts();
        Ok(Http2Answer { head: Response::from_parts(parts, ()), body, stream })
    }
}

impl Http2Client {
    /// Posts the start of a body and returns the answer to come. The stream stays open until then.
    /// # Panics
    /// If the connection is refused.
    pub async fn post_part(
        &self,
        target: &str,
        start: &'static str,
    ) -> impl Future<Output = Result<Response<RecvStream>, h2::Error>> + use<> {
        let request = Request::post(format!("http://{}{target}", self.host)).body(()).expect("a valid head");
        let mut requests =
            within_limit("room for a stream", self.requests.clone().ready()).await.expect("room");
        let (response, mut stream) = requests.send_request(request, false).expect("an open connection");
        stream.send_data(start.into(), false).expect("an open stream");
        async move {
            let response = response.await;
            drop(stream);
            response
        }
    }

    /// Sends a request without a body and waits for the head of the answer.
    /// # Errors
    /// If the stream or the connection is refused.
    /// # Panics
    /// If no answer arrives within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn request(&self, method: &str, target: &str) -> Result<Http2Answer, h2::Error> {
        let request = Request::builder().method(method).uri(format!("http://{}{target}", self.host));
        let request = request.body(()).expect("a valid head");
        let mut requests = within_limit("room for a stream", self.requests.clone().ready()).await?;
        let (response, stream) = requests.send_request(request, true)?;
        let (parts, body) = within_limit("answer", response).await?.into_parts();
        Ok(Http2Answer { head: Response::from_parts(parts, ()), body, stream })
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// An answer to an [`Http2Client`].
#[derive(Debug)]
pub struct Http2Answer {
    head: Response<()>,
    body: RecvStream,
    stream: SendStream<Bytes>,
}

impl Http2Answer {
    /// Returns the status and the headers.
    #[must_use]
    pub fn head(&self) -> &Response<()> {
        &self.head
    }

    /// Reads the next non-empty DATA frame. Returns `None` at END_STREAM.
    /// # Errors
    /// If the stream is reset.
    pub async fn data(&mut self) -> Result<Option<Bytes>, h2::Error> {
        while let Some(data) = within_limit("further data", self.body.data()).await.transpose()? {
            self.body.flow_control().release_capacity(data.len())?;
            // END_STREAM may arrive with a separate, empty frame.
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads exactly `expected`, in frames of any size.
    /// # Panics
    /// If other bytes arrive, or if the stream ends first.
    pub async fn expect(&mut self, expected: &[u8]) {
        let mut received = Vec::new();
        while received.len() < expected.len() {
            let data = self.data().await.expect("an open stream").expect("more to come");
            received.extend_from_slice(&data);
        }
        assert_eq!(Bytes::from(received), expected);
    }

    /// Reads the rest of the body.
    /// # Errors
    /// If the stream is reset.
    pub async fn rest(&mut self) -> Result<Bytes, h2::Error> {
        let mut rest = Vec::new();
        while let Some(data) = self.data().await? {
            rest.extend_from_slice(&data);
        }
        Ok(rest.into())
    }

    /// Reads the rest of the body without giving the sender further room.
    /// # Errors
    /// If the stream is reset.
    pub async fn unread_rest(&mut self) -> Result<Bytes, h2::Error> {
        let mut rest = Vec::new();
        while let Some(data) = within_limit("further data", self.body.data()).await.transpose()? {
            rest.extend_from_slice(&data);
        }
        Ok(rest.into())
    }

    /// Cancels the stream (RST_STREAM with CANCEL), and keeps the connection.
    pub fn cancel(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}
