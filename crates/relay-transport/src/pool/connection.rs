//! One connection to an upstream, over HTTP/1.1 or HTTP/2.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Extensions, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::ext::on_informational;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceExt};

use super::counted_io::{BytesReceived, CountedIo, InterimResponses};
use super::frames::{Frames, Http1Required};
use super::limits::{
    CONNECTION_WINDOW, HEADER_LIST, PING_INTERVAL, PING_TIMEOUT, PoolLimits, SETTINGS_TIMEOUT, STREAM_WINDOW,
};
use super::outgoing::Outgoing;
use super::settings_signal::SignallingExecutor;
use crate::connect::Connector;

type Stream = TokioIo<<Connector as Service<Uri>>::Response>;
type Io = TokioIo<CountedIo<Stream>>;
type Http2Task = http2::Connection<Io, Outgoing, SignallingExecutor>;
/// The result of an exchange up to the response head.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;

/// Runs a connection until it has ended.
pub(super) type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// The number of streams that is assumed until the peer's SETTINGS arrive. A peer cannot send this value.
const NO_SETTINGS: usize = usize::MAX - 1;

/// A new connection.
pub(super) enum Established {
    Http1(Http1),
    Http2(Http2),
}

/// An HTTP/1.1 connection.
pub(super) struct Http1 {
    sender: http1::SendRequest<Outgoing>,
    received: BytesReceived,
    interim: InterimResponses,
    /// The extensions of each request, which count its informational responses.
    extensions: Extensions,
    /// `true` once a request has been sent.
    is_used: bool,
}

impl Http1 {
    /// Returns `true` if the connection is open and its last exchange is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    pub(super) fn received(&self) -> &BytesReceived {
        &self.received
    }

    /// Waits until the last exchange is complete. Returns `false` if the connection has ended.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) fn send(&mut self, mut request: Request<Outgoing>) -> impl Future<Output = Sent> + use<> {
        self.is_used = true;
        self.interim.reset();
        *request.extensions_mut() = self.extensions.clone();
        self.sender.try_send_request(request)
    }
}

/// An HTTP/2 connection, which several requests share.
pub(super) struct Http2 {
    sender: http2::SendRequest<Outgoing>,
    task: Arc<SharedTask>,
    received: BytesReceived,
    requires_http1: Http1Required,
    executor: SignallingExecutor,
    /// `true` once a response head has arrived.
    has_answered: AtomicBool,
}

impl Http2 {
    /// Returns `true` if the connection takes further requests.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Returns `true` if the peer has ended the connection because it requires HTTP/1.1.
    pub(super) fn requires_http1(&self) -> bool {
        self.requires_http1.get()
    }

    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> &BytesReceived {
        &self.received
    }

    /// Returns the number of streams that may be open at once, by the peer's last SETTINGS and by `limits`. It is 1 until the
    /// first SETTINGS have arrived.
    pub(super) fn usable_streams(&self, limits: &PoolLimits) -> usize {
        match self.task.max_streams() {
            NO_SETTINGS => 1,
            allowed => limits.usable_streams(allowed),
        }
    }

    /// Returns `true` once the peer's first SETTINGS have arrived.
    pub(super) fn has_settings(&self) -> bool {
        self.task.max_streams() != NO_SETTINGS
    }

    /// Waits for the peer's first SETTINGS, which a server sends at once, for at most [`SETTINGS_TIMEOUT`].
    pub(super) async fn settings(&self) {
        let arrival = async {
            while !self.has_settings() && self.is_open() {
                self.executor.progress().await;
            }
        };
        // Without SETTINGS the connection serves one request at a time.
        let _ = timeout(SETTINGS_TIMEOUT, arrival).await;
        self.executor.finish();
    }

    pub(super) fn send(&self, request: Request<Outgoing>) -> impl Future<Output = Sent> + use<> {
        self.sender.clone().try_send_request(request)
    }

    /// Notes that a response head has arrived.
    pub(super) fn note_answer(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }
}

/// The task of an HTTP/2 connection. The peer's limit of streams can be read only from hyper's task, so the pool and
/// the driver share the task.
struct SharedTask {
    /// `None` once the connection has ended. hyper answers waiting requests when its task is dropped.
    task: Mutex<Option<Http2Task>>,
    max_streams: AtomicUsize,
}

impl SharedTask {
    fn new(task: Http2Task) -> Self {
        Self { task: Mutex::new(Some(task)), max_streams: AtomicUsize::new(NO_SETTINGS) }
    }

    /// Returns the peer's limit of streams. While the driver holds the lock, this is the last known value: to wait for the
    /// lock could be a deadlock, since hyper drops requests within the driver, which gives their places back to the pool.
    fn max_streams(&self) -> usize {
        if let Ok(task) = self.task.try_lock()
            && let Some(task) = &*task
        {
            self.max_streams.store(task.current_max_send_streams(), Ordering::Relaxed);
        }
        self.max_streams.load(Ordering::Relaxed)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        let mut shared = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(task) = &mut *shared else { return Poll::Ready(Ok(())) };
        let ended = Pin::new(task).poll(cx);
        if ended.is_ready() {
            let task = shared.take();
            drop(shared);
            drop(task);
        }
        ended
    }
}

/// Connects to the host of `uri` and starts the protocol that TLS has negotiated. The first response byte is not awaited.
///
/// The driver has to be spawned before the connection is used.
pub(super) async fn establish(connector: Connector, uri: Uri) -> Result<(Established, Driver), BoxError> {
    let stream = TokioIo::new(connector.oneshot(uri).await?);
    let received = BytesReceived::default();
    match stream.inner().connected().is_negotiated_h2() {
        false => start_http1(stream, received).await,
        true => start_http2(stream, received).await,
    }
}

async fn start_http1(stream: Stream, received: BytesReceived) -> Result<(Established, Driver), BoxError> {
    let interim = InterimResponses::default();
    let io = TokioIo::new(CountedIo::http1(stream, received.clone(), interim.clone()));
    let (sender, driver) = http1::handshake(io).await?;
    let extensions = counting(interim.clone());
    let connection = Http1 { sender, received, interim, extensions, is_used: false };
    Ok((Established::Http1(connection), Box::pin(driver)))
}

/// Returns the extensions of a request whose informational responses are added to `interim`.
fn counting(interim: InterimResponses) -> Extensions {
    let mut request = Request::new(());
    on_informational(&mut request, move |_| interim.add());
    request.into_parts().0.extensions
}

async fn start_http2(stream: Stream, received: BytesReceived) -> Result<(Established, Driver), BoxError> {
    let requires_http1 = Http1Required::default();
    let frames = Frames::new(requires_http1.clone());
    let io = TokioIo::new(CountedIo::http2(stream, received.clone(), frames));
    let executor = SignallingExecutor::default();
    let (sender, task) = http2::Builder::new(executor.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(NO_SETTINGS)
        .max_header_list_size(HEADER_LIST)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io)
        .await?;
    let task = Arc::new(SharedTask::new(task));
    let driven = Arc::clone(&task);
    let driver = poll_fn(move |cx| driven.poll(cx));
    let has_answered = AtomicBool::new(false);
    let connection = Http2 { sender, task, received, requires_http1, executor, has_answered };
    Ok((Established::Http2(connection), Box::pin(driver)))
}
