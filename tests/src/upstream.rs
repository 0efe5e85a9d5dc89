//! A scripted HTTP/1.1 server that records requests and can break the protocol at any point.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, Ending};
use crate::http1::{self, Framing, Wire, WireError};
use crate::request::Request;
use crate::rule::Rule;
use crate::time_limit::{STEP_TIMEOUT, within_limit};
use crate::tls::{CertificateAuthority, Io};

/// A server on `127.0.0.1` for one test.
///
/// It is strict and records violations. A request is a violation if it is not valid HTTP/1.1, names another host, is
/// chunked without [`allow_chunked`](UpstreamBuilder::allow_chunked), or breaks a [`Rule`]. Violations, and panics of the
/// script, fail the test when the upstream is dropped or at [`assert_clean`](Self::assert_clean), whichever comes first.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    manual: Option<tokio::sync::Mutex<mpsc::UnboundedReceiver<Connection>>>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// Returns a builder with the default settings.
    #[must_use]
    pub fn builder() -> UpstreamBuilder {
        UpstreamBuilder {
            rules: Vec::new(),
            authority: None,
            chunked: false,
            allow_incomplete: false,
            host: None,
            name: None,
            socket: None,
        }
    }

    /// Starts an upstream that hands every connection to the test: see [`connection`](Self::connection).
    pub async fn manual() -> Self {
        Self::builder().manual().await
    }

    /// Starts an upstream that answers every request, on any number of connections with any number of requests each.
    pub async fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::builder().answering(answer).await
    }

    /// Starts an upstream that runs `script` for every connection, before any byte is read.
    pub async fn scripted<F>(script: impl Fn(Connection) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::builder().scripted(script).await
    }

    /// Returns an address that refuses every connection as long as the returned socket lives.
    /// # Panics
    /// If the system has no free port.
    #[must_use]
    pub fn refusing() -> (TcpSocket, SocketAddr) {
        // The socket is bound but does not listen, so that no other test gets the port meanwhile.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        (socket, address)
    }

    /// Returns the address on which the upstream listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns `http://127.0.0.1:PORT`; with TLS `https://…`; with [`name`](UpstreamBuilder::name) that name as host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.scheme, self.shared.authority)
    }

    /// Waits for the next connection on which a request begins, at a [`manual`](Self::manual) upstream.
    ///
    /// Connections without any byte from the client (a pool may open some) are not returned.
    /// # Panics
    /// If the upstream is not manual, or if no request arrives within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn connection(&self) -> Connection {
        let mut connections = self.manual.as_ref().expect("a manual upstream").lock().await;
        let next = within_limit("request for the upstream", connections.recv()).await;
        next.expect("the accepting task lives as long as the upstream")
    }

    /// Waits for the next connection and reads its first request.
    /// # Panics
    /// If the upstream is not manual, or if no complete request arrives within [`STEP_TIMEOUT`](crate::STEP_TIMEOUT).
    pub async fn exchange(&self) -> (Connection, Request) {
        let mut connection = self.connection().await;
        let request = connection.receive().await.expect("a complete request");
        (connection, request)
    }

    /// Returns all requests so far, in the order of their completion.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.borrow().clone()
    }

    /// Returns the only request.
    /// # Panics
    /// If the number of requests is not one.
    #[must_use]
    #[track_caller]
    pub fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request was expected, but received: {requests:#?}");
        requests.remove(0)
    }

    /// Removes the requests so far, and returns them. A test of many requests keeps its memory bounded by this.
    pub fn take_requests(&self) -> Vec<Request> {
        let mut taken = Vec::new();
        self.shared.requests.send_modify(|requests| taken = std::mem::take(requests));
        taken
    }

    /// Waits until at least `count` requests have arrived, and returns them.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        let mut requests = self.shared.requests.subscribe();
        let enough = within_limit("further request", requests.wait_for(|r| r.len() >= count)).await;
        enough.expect("the sender lives as long as the upstream").clone()
    }

    /// Returns the number of accepted connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Waits until at most `limit` connections are open.
    pub async fn wait_for_open_connections(&self, limit: usize) {
        let mut open = self.shared.open.subscribe();
        let reached = open.wait_for(|open| *open <= limit);
        let is_reached = tokio::time::timeout(STEP_TIMEOUT, reached).await.is_ok();
        assert!(is_reached, "{} connections are open, but at most {limit} were expected", *open.borrow());
    }

    /// Stops like a killed process: open connections break, and new ones are refused as long as the returned socket
    /// lives. Another upstream can [listen](UpstreamBuilder::listen_on) on that socket.
    /// # Panics
    /// If another program takes the port in the meantime.
    pub async fn kill(mut self) -> TcpSocket {
        self.accepting.abort();
        // The error is the abort.
        let _ = (&mut self.accepting).await;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a fresh socket takes options");
        socket.bind(self.shared.address).expect("the port is free again");
        socket
    }

    /// Returns and clears the violations so far, for tests that cause some on purpose.
    #[must_use]
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.violations))
    }

    /// Fails the test if there are violations.
    /// # Panics
    /// If there are violations.
    #[track_caller]
    pub fn assert_clean(&self) {
        let violations = self.take_violations();
        assert!(violations.is_empty(), "the upstream saw violations: {violations:#?}");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

/// Returns a script that gives `answers` in turn, and repeats the last one for all further requests.
///
/// # Panics
/// If `answers` is empty.
pub fn in_turn(answers: impl IntoIterator<Item = Answer>) -> impl Fn(&Request) -> Answer + Send + Sync {
    let answers: Vec<_> = answers.into_iter().collect();
    assert!(!answers.is_empty(), "an upstream needs an answer");
    let next = AtomicUsize::new(0);
    move |_| answers[next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone()
}

/// A builder of an [`Upstream`]: first the settings, then the kind of script.
#[derive(Debug)]
pub struct UpstreamBuilder {
    rules: Vec<Rule>,
    authority: Option<CertificateAuthority>,
    chunked: bool,
    allow_incomplete: bool,
    host: Option<String>,
    name: Option<&'static str>,
    socket: Option<TcpSocket>,
}

impl UpstreamBuilder {
    /// Adds rules for every request.
    #[must_use]
    pub fn require(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Speaks TLS with a certificate of `authority`, and offers `http/1.1` by ALPN.
    #[must_use]
    pub fn tls(mut self, authority: &CertificateAuthority) -> Self {
        self.authority = Some(authority.clone());
        self
    }

    /// Accepts chunked requests, as for streamed bodies of unknown length, instead of recording a violation.
    #[must_use]
    pub fn allow_chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Accepts incomplete requests of clients that disconnect, instead of recording a violation.
    #[must_use]
    pub fn allow_incomplete_requests(mut self) -> Self {
        self.allow_incomplete = true;
        self
    }

    /// Expects this value in `host` instead of its own address.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Uses this name instead of the IP address, in the URL and in the expected `host`.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Listens on `socket`: at the address of a [killed](Upstream::kill) upstream, or of one that has
    /// [refused](Upstream::refusing) connections.
    #[must_use]
    pub fn listen_on(mut self, socket: TcpSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// Starts the upstream: see [`Upstream::manual`].
    pub async fn manual(self) -> Upstream {
        let (sender, receiver) = mpsc::unbounded_channel();
        let script = move |mut connection: Connection| {
            let sender = sender.clone();
            async move {
                if connection.wire.wait_for_byte().await {
                    // An error means that the test has ended.
                    let _ = sender.send(connection);
                }
            }
        };
        let mut upstream = self.scripted(script).await;
        upstream.manual = Some(tokio::sync::Mutex::new(receiver));
        upstream
    }

    /// Starts the upstream: see [`Upstream::answering`].
    pub async fn answering(self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Upstream {
        let answer = Arc::new(answer);
        let script = move |mut connection: Connection| {
            let answer = Arc::clone(&answer);
            async move {
                while let Some(request) = connection.receive().await {
                    let answer = answer(&request);
                    if connection.answer(&answer).await.is_err() || answer.closes() {
                        return;
                    }
                }
            }
        };
        self.scripted(script).await
    }

    /// Starts the upstream: see [`Upstream::scripted`].
    ///
    /// # Panics
    /// If the system has no free port.
    pub async fn scripted<F>(self, script: impl Fn(Connection) -> F + Send + Sync + 'static) -> Upstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = match self.socket {
            Some(socket) => socket.listen(1024),
            None => TcpListener::bind(("127.0.0.1", 0)).await,
        };
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let authority =
            self.name.map_or_else(|| address.to_string(), |name| format!("{name}:{}", address.port()));
        let shared = Arc::new(Shared {
            address,
            scheme: if self.authority.is_some() { "https" } else { "http" },
            host: self.host.unwrap_or_else(|| authority.clone()),
            authority,
            rules: self.rules,
            chunked: self.chunked,
            allow_incomplete: self.allow_incomplete,
            accepted: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            requests: watch::Sender::new(Vec::new()),
            violations: Mutex::new(Vec::new()),
        });
        let script: Script = Box::new(move |connection| Box::pin(script(connection)));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), script, self.authority));
        Upstream { shared, manual: None, accepting }
    }
}

type Script = Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Accepts connections until it is aborted, which also ends the scripts of the connections.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    script: Script,
    authority: Option<CertificateAuthority>,
) {
    let script = Arc::new(script);
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).expect("a fresh socket takes options");
                let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
                let (shared, script, authority) = (Arc::clone(&shared), Arc::clone(&script), authority.clone());
                running.spawn(async move {
                    let io = match authority {
                        None => Io::Plain(stream),
                        Some(authority) => match authority.accept(stream).await {
                            Ok(io) => io,
                            Err(_) => return, // the peer sees the same failure
                        },
                    };
                    script(Connection::new(number, io, shared)).await;
                });
            }
            Some(ended) = running.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    lock(&shared.violations).push(format!("the script panicked: {error}"));
                }
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    scheme: &'static str,
    authority: String,
    host: String,
    rules: Vec<Rule>,
    chunked: bool,
    allow_incomplete: bool,
    accepted: AtomicUsize,
    /// The number of connections whose script still runs.
    open: watch::Sender<usize>,
    requests: watch::Sender<Vec<Request>>,
    violations: Mutex<Vec<String>>,
}

impl Shared {
    fn record_violation(&self, connection: usize, violation: impl std::fmt::Display) {
        lock(&self.violations).push(format!("connection {connection}: {violation}"));
    }

    /// Checks a request against the settings and the rules, and records it.
    fn record(&self, request: &Request) {
        let hosts: Vec<_> = request.headers.all("host").collect();
        if hosts != [self.host.as_str()] {
            self.record_violation(
                request.connection,
                format_args!("host is {hosts:?} instead of {:?}", self.host),
            );
        }
        if !self.chunked && request.headers.contains("transfer-encoding") {
            self.record_violation(request.connection, "transfer-encoding where content-length was expected");
        }
        for rule in &self.rules {
            if let Err(violation) = rule.check(request) {
                self.record_violation(
                    request.connection,
                    format_args!("{} {}: {violation}", request.method, request.target),
                );
            }
        }
        self.requests.send_modify(|requests| requests.push(request.clone()));
    }
}

/// A connection of an upstream. Dropping it closes the connection: with RST if there are unread bytes, else with FIN.
#[derive(Debug)]
pub struct Connection {
    number: usize,
    wire: Wire<Io>,
    /// The method of the last request.
    method: String,
    /// The framing of the unread body of the last request.
    unread: Framing,
    shared: Arc<Shared>,
    _open: OpenGuard,
}

/// A guard that counts a connection as open until it is dropped.
#[derive(Debug)]
struct OpenGuard(Arc<Shared>);

impl OpenGuard {
    fn count(shared: &Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

impl Connection {
    fn new(number: usize, io: Io, shared: Arc<Shared>) -> Self {
        let open = OpenGuard::count(&shared);
        let (wire, unread) = (Wire::new(io), Framing::Length(0));
        Self { number, wire, method: String::new(), unread, shared, _open: open }
    }

    /// Returns the number of the connection: 0 for the first that the upstream accepted.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads the next complete request. Returns `None` if the peer closes the connection. If it closes the connection
    /// within a request, that is a violation.
    pub async fn receive(&mut self) -> Option<Request> {
        let mut request = self.head().await?;
        request.body = self.receive_body().await?;
        request.at = Instant::now();
        self.shared.record(&request);
        Some(request)
    }

    /// Reads the head of the next request but not its body, for an early answer.
    pub async fn receive_head(&mut self) -> Option<Request> {
        let request = self.head().await?;
        self.shared.record(&request);
        Some(request)
    }

    /// Reads the body after [`receive_head`](Self::receive_head).
    pub async fn receive_body(&mut self) -> Option<Bytes> {
        let framing = std::mem::replace(&mut self.unread, Framing::Length(0));
        let body = within_limit("whole request body", self.wire.read_body(framing)).await;
        self.or_violation(body)
    }

    async fn head(&mut self) -> Option<Request> {
        if !self.wire.wait_for_byte().await {
            return None;
        }
        let head = within_limit("whole request head", self.wire.read_head()).await;
        let head = self.or_violation(head)??;
        self.unread = self.or_violation(head.framing(Framing::Length(0)))?;
        let request = self.or_violation(Request::new(head, self.number))?;
        self.method.clone_from(&request.method);
        Some(request)
    }

    fn or_violation<T>(&self, result: Result<T, WireError>) -> Option<T> {
        if let Err(error) = &result
            && !(self.shared.allow_incomplete && error.end().is_some())
        {
            self.shared.record_violation(self.number, error);
        }
        result.ok()
    }

    /// Sends `answer`, and then closes the connection as its [`Ending`] requires.
    /// # Errors
    /// If the peer has closed the connection.
    pub async fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        for write in answer.writes(&self.method) {
            self.wire.write(&write).await?;
        }
        match answer.ending {
            Ending::Clean => Ok(()),
            Ending::Fin => self.wire.shut_down().await,
            Ending::Reset => self.wire.io().tcp().set_zero_linger(),
        }
    }

    /// Sends only the head of `answer`. The test sends the body with [`send_chunk`](Self::send_chunk) and
    /// [`send_last_chunk`](Self::send_last_chunk), or with [`send`](Self::send).
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn send_head(&mut self, answer: &Answer) {
        self.send(&answer.head()).await;
    }

    /// Sends `payload` as one chunk in one write.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn send_chunk(&mut self, payload: &[u8]) {
        self.send(&http1::chunk(payload)).await;
    }

    /// Sends the last chunk of a chunked body.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn send_last_chunk(&mut self) {
        self.send(http1::LAST_CHUNK).await;
    }

    /// Sends arbitrary bytes.
    /// # Panics
    /// If the peer has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the connection is open");
    }

    /// Sends bytes to a peer that may have closed the connection.
    /// # Errors
    /// If the peer has closed the connection.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within_limit("room to send", self.wire.write(bytes)).await
    }

    /// Sends FIN, and waits until the peer has closed the connection as well.
    pub async fn finish(mut self) {
        // An error means that the peer closed first.
        let _ = self.wire.shut_down().await;
        self.peer_closed().await;
    }

    /// Resets the connection (RST).
    /// # Panics
    /// If the socket refuses `SO_LINGER`.
    pub fn reset(self) {
        self.wire.into_io().tcp().set_zero_linger().expect("an open socket takes options");
    }

    /// Waits until the peer has closed the connection, and returns the time. Discards the bytes that arrive before.
    pub async fn peer_closed(&mut self) -> Instant {
        within_limit("end of the connection", self.wire.drain()).await;
        Instant::now()
    }
}

/// Locks `mutex`, also if another thread has panicked with it: the test still reports the violations so far.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
