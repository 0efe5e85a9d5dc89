//! A scripted HTTP/1.1 server that notes what it gets and misbehaves where it is told to.

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
use crate::time_limit::within_limit;
use crate::tls::{CertificateAuthority, Io};

/// A server on `127.0.0.1` that belongs to one test.
///
/// It is strict: a request that is not clean HTTP/1.1, names another host, is chunked though nobody allowed it, or
/// breaks a [`Rule`] is noted as a violation. Violations, and panics of the script, fail the test when the upstream
/// is dropped or at [`assert_clean`](Self::assert_clean), whichever comes first.
#[derive(Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
    by_hand: Option<tokio::sync::Mutex<mpsc::UnboundedReceiver<Connection>>>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// Settings first.
    #[must_use]
    pub fn builder() -> UpstreamBuilder {
        UpstreamBuilder {
            rules: Vec::new(),
            authority: None,
            chunked: false,
            breaks: false,
            host: None,
            name: None,
            socket: None,
        }
    }

    /// Hands every connection to the test, which plays it by hand: see [`connection`](Self::connection).
    pub async fn manual() -> Self {
        Self::builder().manual().await
    }

    /// Answers every request, on any number of connections with any number of requests each.
    pub async fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::builder().answering(answer).await
    }

    /// Runs `script` for every connection from its first moment, before any byte was read.
    pub async fn scripted<F>(script: impl Fn(Connection) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::builder().scripted(script).await
    }

    /// An address at which every connection is refused for as long as the returned socket lives.
    /// # Panics
    /// If the system has no port left.
    #[must_use]
    pub fn refusing() -> (TcpSocket, SocketAddr) {
        // Bound but not listening: the port cannot fall to another test meanwhile.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        (socket, address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT`, or `https://…` with TLS, or with [`name`](UpstreamBuilder::name) instead of the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.scheme, self.shared.authority)
    }

    /// The next connection on which a request begins, for a [`manual`](Self::manual) upstream.
    ///
    /// Connections that nobody sent anything on (a pool may open some) are not handed out.
    /// # Panics
    /// If the upstream is not a manual one, or no request comes.
    pub async fn connection(&self) -> Connection {
        let mut connections = self.by_hand.as_ref().expect("a manual upstream").lock().await;
        let next = within_limit("request for the upstream", connections.recv()).await;
        next.expect("the accepting task lives as long as the upstream")
    }

    /// The next connection with its first request read.
    /// # Panics
    /// If [`connection`](Self::connection) would, or if the request is not complete.
    pub async fn exchange(&self) -> (Connection, Request) {
        let mut connection = self.connection().await;
        let request = connection.receive().await.expect("a complete request");
        (connection, request)
    }

    /// Every request so far, in the order in which they were complete.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.borrow().clone()
    }

    /// The one request that came.
    /// # Panics
    /// If there were none or several.
    #[must_use]
    #[track_caller]
    pub fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request was expected, these came: {requests:#?}");
        requests.remove(0)
    }

    /// Waits until `count` requests have come.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        let mut requests = self.shared.requests.subscribe();
        let enough = within_limit("further request", requests.wait_for(|r| r.len() >= count)).await;
        enough.expect("the sender lives as long as the upstream").clone()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Waits until no more than `most` connections are open.
    pub async fn wait_for_open_connections(&self, most: usize) {
        let mut open = self.shared.open.subscribe();
        let few = within_limit("end of a connection", open.wait_for(|open| *open <= most)).await;
        drop(few.expect("the sender lives as long as the upstream"));
    }

    /// Ends as a process that is killed: connections break off, and further ones are refused for as long as the returned
    /// socket lives. A successor may [listen](UpstreamBuilder::listen_on) on it.
    /// # Panics
    /// If another program takes the port in this very moment.
    pub async fn kill(mut self) -> TcpSocket {
        self.accepting.abort();
        // An error says that it was aborted.
        let _ = (&mut self.accepting).await;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a fresh socket takes options");
        socket.bind(self.shared.address).expect("the port is free again");
        socket
    }

    /// Takes the violations noted so far, for tests that mean to cause some.
    #[must_use]
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.violations))
    }

    /// Fails the test if anything was wrong with any request.
    /// # Panics
    /// Then.
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

/// Answers each request in turn, and every further one like the last.
///
/// # Panics
/// If `answers` is empty.
pub fn in_turn(answers: impl IntoIterator<Item = Answer>) -> impl Fn(&Request) -> Answer + Send + Sync {
    let answers: Vec<_> = answers.into_iter().collect();
    assert!(!answers.is_empty(), "an upstream needs an answer");
    let next = AtomicUsize::new(0);
    move |_| answers[next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone()
}

/// Settings of an [`Upstream`], then the way it answers.
#[derive(Debug)]
pub struct UpstreamBuilder {
    rules: Vec<Rule>,
    authority: Option<CertificateAuthority>,
    chunked: bool,
    breaks: bool,
    host: Option<String>,
    name: Option<&'static str>,
    socket: Option<TcpSocket>,
}

impl UpstreamBuilder {
    /// Demands these of every request.
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

    /// Takes chunked requests without calling them a violation: streaming bodies of unknown length.
    #[must_use]
    pub fn allow_chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Takes it that requests break off: their clients leave.
    #[must_use]
    pub fn allow_incomplete_requests(mut self) -> Self {
        self.breaks = true;
        self
    }

    /// Expects this value in `host` instead of its own address.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Is known by this name instead of its IP address, in its URL and in `host`.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Listens where `socket` is bound: at the address of a [killed](Upstream::kill) predecessor, or of one that
    /// [refused](Upstream::refusing) so far.
    #[must_use]
    pub fn listen_on(mut self, socket: TcpSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// See [`Upstream::manual`].
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
        upstream.by_hand = Some(tokio::sync::Mutex::new(receiver));
        upstream
    }

    /// See [`Upstream::answering`].
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

    /// See [`Upstream::scripted`].
    ///
    /// # Panics
    /// If the system has no port left.
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
            breaks: self.breaks,
            accepted: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            requests: watch::Sender::new(Vec::new()),
            violations: Mutex::new(Vec::new()),
        });
        let script: Script = Box::new(move |connection| Box::pin(script(connection)));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), script, self.authority));
        Upstream { shared, by_hand: None, accepting }
    }
}

type Script = Box<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Accepts until it is aborted; the connections' scripts end with it.
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
                            Err(_) => return, // the other side's business; it sees the same failure
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
    breaks: bool,
    accepted: AtomicUsize,
    /// Connections that neither side has closed, as far as the script has noticed.
    open: watch::Sender<usize>,
    requests: watch::Sender<Vec<Request>>,
    violations: Mutex<Vec<String>>,
}

impl Shared {
    fn note(&self, connection: usize, violation: impl std::fmt::Display) {
        lock(&self.violations).push(format!("connection {connection}: {violation}"));
    }

    /// Holds a request against everything that is demanded, and keeps it.
    fn keep(&self, request: &Request) {
        let hosts: Vec<_> = request.headers.all("host").collect();
        if hosts != [self.host.as_str()] {
            self.note(request.connection, format_args!("host is {hosts:?} instead of {:?}", self.host));
        }
        if !self.chunked && request.headers.contains("transfer-encoding") {
            self.note(request.connection, "transfer-encoding where content-length was expected");
        }
        for rule in &self.rules {
            if let Err(violation) = rule.check(request) {
                self.note(
                    request.connection,
                    format_args!("{} {}: {violation}", request.method, request.target),
                );
            }
        }
        self.requests.send_modify(|requests| requests.push(request.clone()));
    }
}

/// One connection of an upstream. Dropping it closes it: with FIN, or with RST if unread bytes are waiting.
#[derive(Debug)]
pub struct Connection {
    number: usize,
    wire: Wire<Io>,
    /// Method and unread body of the last request.
    method: String,
    unread: Framing,
    shared: Arc<Shared>,
    _open: Open,
}

/// Counts a connection for as long as it is open.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: &Arc<Shared>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

impl Connection {
    fn new(number: usize, io: Io, shared: Arc<Shared>) -> Self {
        let open = Open::count(&shared);
        let (wire, unread) = (Wire::new(io), Framing::Length(0));
        Self { number, wire, method: String::new(), unread, shared, _open: open }
    }

    /// 0 for the first that the upstream accepted.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The next request, whole; `None` when the other side closes the connection, or breaks the request off, which
    /// is noted.
    pub async fn receive(&mut self) -> Option<Request> {
        let mut request = self.head().await?;
        request.body = self.receive_body().await?;
        request.at = Instant::now();
        self.shared.keep(&request);
        Some(request)
    }

    /// The next request with its body left unread, for an answer that comes early.
    pub async fn receive_head(&mut self) -> Option<Request> {
        let request = self.head().await?;
        self.shared.keep(&request);
        Some(request)
    }

    /// The body that [`receive_head`](Self::receive_head) left.
    pub async fn receive_body(&mut self) -> Option<Bytes> {
        let framing = std::mem::replace(&mut self.unread, Framing::Length(0));
        let body = within_limit("whole request body", self.wire.read_body(framing)).await;
        self.or_note(body)
    }

    async fn head(&mut self) -> Option<Request> {
        if !self.wire.wait_for_byte().await {
            return None;
        }
        let head = within_limit("whole request head", self.wire.read_head()).await;
        let head = self.or_note(head)??;
        self.unread = self.or_note(head.framing(Framing::Length(0)))?;
        let request = self.or_note(Request::new(head, self.number))?;
        self.method.clone_from(&request.method);
        Some(request)
    }

    fn or_note<T>(&self, result: Result<T, WireError>) -> Option<T> {
        if let Err(error) = &result
            && !(self.shared.breaks && error.end().is_some())
        {
            self.shared.note(self.number, error);
        }
        result.ok()
    }

    /// Sends `answer`, with its way to end.
    /// # Errors
    /// If the other side is gone.
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

    /// Sends the head of `answer`. Its body is the test's: [`send_chunk`](Self::send_chunk), then
    /// [`send_last_chunk`](Self::send_last_chunk), or [`send`](Self::send).
    /// # Panics
    /// If the other side is gone.
    pub async fn send_head(&mut self, answer: &Answer) {
        self.send(&answer.head()).await;
    }

    /// Sends `payload` as one chunk in one write.
    /// # Panics
    /// If the other side is gone.
    pub async fn send_chunk(&mut self, payload: &[u8]) {
        self.send(&http1::chunk(payload)).await;
    }

    /// Ends a chunked body as it should be.
    /// # Panics
    /// If the other side is gone.
    pub async fn send_last_chunk(&mut self) {
        self.send(http1::LAST_CHUNK).await;
    }

    /// Sends bytes as they are.
    /// # Panics
    /// If the other side is gone.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the other side still listens");
    }

    /// As [`send`](Self::send), to somebody who may have left.
    /// # Errors
    /// If the other side is gone.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within_limit("room to send", self.wire.write(bytes)).await
    }

    /// Sends FIN, and waits until the other side has closed as well.
    pub async fn finish(mut self) {
        // An error means that the other side was faster.
        let _ = self.wire.shut_down().await;
        self.peer_closed().await;
    }

    /// Resets the connection (RST).
    /// # Panics
    /// If the socket refuses `SO_LINGER`.
    pub fn reset(self) {
        self.wire.into_io().tcp().set_zero_linger().expect("an open socket takes options");
    }

    /// Waits until the other side has closed the connection, and says when that was seen. Bytes that still come are
    /// thrown away.
    pub async fn peer_closed(&mut self) -> Instant {
        within_limit("end of the connection", self.wire.drain()).await;
        Instant::now()
    }
}

/// A test that has panicked elsewhere still wants to see what was noted.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
