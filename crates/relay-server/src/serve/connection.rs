//! One connection of a client, from its acceptance to its end.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use relay_messages::error_sources;
use relay_stream::body::Woken;
use tokio::time::{Instant, sleep, sleep_until};

use super::accept::Accepted;
use super::activity::{Activity, Protocol};
use super::client_io::ClientIo;
use super::client_version::ClientVersion;
use super::exchange::{OpenExchange, SentBody};
use super::header_map;
use super::open_connections::OpenConnections;
use super::opening::{Opened, Opening};
use super::peer::PeerAddress;
use super::served::Served;
use super::settings::{HeadTimeouts, ServeSettings};
use super::stop::{ARRIVAL, KEPT_IDLE, Stop, Stopping};
use super::streams::StreamExecutor;
use super::tls::ListenerTls;
use crate::client_certificate::ClientCertificate;
use crate::open_files::NoFreeFile;

/// The limit of an HTTP/1.1 head and the size of one read, in bytes.
///
/// hyper compares the limit with the incomplete head before each read, and reads 8 KiB, 16 KiB and so on: a head of more than
/// 256 KiB is refused at 248 KiB. A limit of 256 KiB would admit one further read, and with it a head of twice the size.
const HTTP1_BUFFER: usize = 248 * 1024;
/// The limit of the header list of an HTTP/2 request, in bytes.
const HTTP2_HEADER_LIST: u32 = 64 * 1024;
/// The limit of concurrent HTTP/2 streams on one connection.
const HTTP2_STREAMS: u32 = 250;
/// The flow-control window of an HTTP/2 stream, in bytes: a usual request of Claude Code fits.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
/// The flow-control window of an HTTP/2 connection, in bytes.
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The interval of HTTP/2 pings.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The time that an idle HTTP/2 connection has to end after GOAWAY.
const GOAWAY_TIME: Duration = Duration::from_secs(1);
/// A client connection to be served.
pub(super) struct Connection<T> {
    served: T,
    activity: Arc<Activity>,
    stopping: Stopping,
    open: Arc<OpenConnections>,
    tls: Option<ListenerTls>,
}

type Server<'a, S> = auto::Connection<'a, TokioIo<ClientIo>, S, StreamExecutor>;

impl<T: Served> Connection<T> {
    /// `stopping` announces the stop of the server. The connection is one of `open` while it is served.
    pub(super) fn new(served: T, stopping: Stopping, open: Arc<OpenConnections>) -> Self {
        Self { served, activity: Arc::new(Activity::new()), stopping, open, tls: None }
    }

    /// Begins the connection with a handshake of TLS, if `tls` is set.
    pub(super) fn with_tls(mut self, tls: Option<ListenerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Serves requests until the connection ends.
    pub(super) async fn serve(self, Accepted { socket, peer, place }: Accepted) {
        if let Err(error) = socket.set_options() {
            tracing::debug!(%error, "the connection closed before it was served");
            return;
        }
        let settings = self.served.serving().settings;
        let open = self.open.add(Arc::clone(&self.activity));
        let mut closing = pin!(Woken::new(self.closing(settings.head_timeouts)));
        let opening = Opening { activity: &self.activity, settings, tls: self.tls.as_ref(), peer };
        let opened = tokio::select! {
            biased;
            opened = opening.open(socket) => opened,
            _ = &mut closing => return log_unused(),
        };
        let Some(Opened { stream, version, certificate }) = opened else { return };
        let io = ClientIo::new(stream, Arc::clone(&self.activity));
        let server = self.builder(settings, version);
        let service = service_fn(|request| self.respond(request, peer, certificate.as_ref()));
        let connection = pin!(server.serve_connection(TokioIo::new(io), service));
        if let Err(error) = self.run(connection, closing).await {
            self.log_end(peer, &*error);
        }
        drop((open, place));
    }

    /// Runs `connection` until it ends by itself, is idle for too long, or the server stops.
    async fn run<S, F>(
        &self,
        mut connection: Pin<&mut Server<'_, S>>,
        closing: Pin<&mut impl Future<Output = bool>>,
    ) -> Result<(), tower::BoxError>
    where
        S: hyper::service::Service<
                Request<Incoming>,
                Response = Response<SentBody>,
                Error = Infallible,
                Future = F,
            >,
        F: Future<Output = Result<Response<SentBody>, Infallible>> + Send + 'static,
    {
        let has_ended = tokio::select! {
            biased;
            result = &mut connection => return result,
            has_ended = closing => has_ended,
        };
        if has_ended {
            log_unused();
            return Ok(());
        }
        connection.as_mut().graceful_shutdown();
        loop {
            tokio::select! {
                result = &mut connection => return result,
                // A client may not confirm GOAWAY.
                () = sleep(GOAWAY_TIME) => if self.activity.is_idle() {
                    return Ok(());
                },
            }
        }
    }

    /// Waits until the connection has to close. Returns `true` if it can be closed at once.
    async fn closing(&self, timeouts: HeadTimeouts) -> bool {
        let stop = tokio::select! {
            () = self.idle(timeouts) => return self.activity.protocol() != Protocol::Http2,
            stop = self.stopping.clone().begun() => stop,
        };
        self.activity.set_last_request();
        // GOAWAY names the requests of HTTP/2 that are served.
        if self.activity.protocol() != Protocol::Http2 {
            tokio::select! {
                () = self.idle(timeouts) => {}
                () = self.requests_arrive(stop) => {}
            }
        }
        self.has_nothing_to_finish()
    }

    /// Waits for a request that the client may have sent before the server stopped.
    async fn requests_arrive(&self, stop: Stop) {
        let now = Instant::now();
        match stop {
            Stop::Close => sleep_until(self.activity.idle_since().unwrap_or(now) + ARRIVAL).await,
            Stop::HandOver => {
                if self.activity.is_idle() {
                    sleep(KEPT_IDLE).await;
                }
                while self.activity.awaits_request() {
                    sleep(ARRIVAL).await;
                }
            }
        }
    }

    /// Waits until no request has arrived for too long, or until the idle connection has to make room for another one.
    async fn idle(&self, timeouts: HeadTimeouts) {
        tokio::select! {
            () = self.idle_too_long(timeouts) => {}
            () = self.room_needed() => {}
        }
    }

    async fn room_needed(&self) {
        loop {
            self.activity.room_needed().await;
            if self.activity.is_idle() {
                return;
            }
            self.activity.stay();
        }
    }

    async fn idle_too_long(&self, timeouts: HeadTimeouts) {
        loop {
            // A request that ends meanwhile has its own deadline, which is later than this one.
            let again = Instant::now() + timeouts.next;
            match self.activity.idle_deadline(timeouts) {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => sleep_until(deadline.min(again)).await,
                None => sleep_until(again).await,
            }
        }
    }

    /// Returns `true` if the connection can be closed at once: it has no request whose response could be finished.
    fn has_nothing_to_finish(&self) -> bool {
        match self.activity.protocol() {
            Protocol::Unknown => true,
            Protocol::Http1 => self.activity.is_idle() || self.activity.is_request_incomplete(),
            // Each stream decides for itself.
            Protocol::Http2 => false,
        }
    }

    fn builder(&self, settings: ServeSettings, version: ClientVersion) -> auto::Builder<StreamExecutor> {
        let mut builder = auto::Builder::new(StreamExecutor {
            activity: Arc::clone(&self.activity),
            write_timeout: settings.write_timeout,
            stopping: self.stopping.clone(),
        });
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.head_timeouts.next)
            .max_buf_size(HTTP1_BUFFER)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(HTTP2_HEADER_LIST)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .keep_alive_interval(Some(KEEPALIVE));
        match version {
            ClientVersion::Unknown | ClientVersion::Tls => builder,
            ClientVersion::Http1 => builder.http1_only(),
            ClientVersion::Http2 => builder.http2_only(),
        }
    }

    fn respond(
        &self,
        mut request: Request<Incoming>,
        peer: PeerAddress,
        certificate: Option<&ClientCertificate>,
    ) -> impl Future<Output = Result<Response<SentBody>, Infallible>> + Send + use<T> {
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let version = request.version();
        let (is_http2, is_http10) = (version == Version::HTTP_2, version <= Version::HTTP_10);
        let exchange = OpenExchange::new(&self.activity, !request.body().is_end_stream(), is_http2);
        let response = self.served.respond(request.map(|body| exchange.receive(body)), peer);
        let open = Arc::clone(&self.open);
        async move {
            let mut response = response.await?;
            if response.extensions_mut().remove::<NoFreeFile>().is_some() {
                open.close_longest_idle();
            }
            if !is_http2 && exchange.is_last() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if !is_http2 && response.body().size_hint().exact().is_none() {
                header_map::shrink(response.headers_mut());
            }
            Ok(response.map(|body| SentBody::new(body, exchange, is_http2, is_http10)))
        }
    }

    /// Logs the reason for which a connection has ended, unless it was handled where it happened: a client that left, or a
    /// response that broke off.
    fn log_end(&self, peer: PeerAddress, error: &(dyn std::error::Error + Send + Sync + 'static)) {
        let reason = error.source().map(ToString::to_string);
        if self.activity.has_stalled() {
            tracing::info!(%peer, "reset a connection: the client accepted nothing (server.write_timeout_ms)");
        } else if error.downcast_ref::<hyper::Error>().is_some_and(is_malformed) {
            let refused = self.activity.refused();
            let request_id = refused.as_ref().map(|(id, _)| id.as_str());
            let status = refused.as_ref().map(|(_, status)| status.as_u16());
            tracing::info!(%peer, request_id, status, %error, reason, "refused malformed bytes of a client");
        } else {
            tracing::debug!(%peer, %error, reason, "connection ended");
        }
    }
}

fn log_unused() {
    tracing::debug!("closed a connection without a request");
}

/// Returns `true` if a client has sent bytes that are no request: such a request has no record.
fn is_malformed(error: &hyper::Error) -> bool {
    let is_handled = error.is_user()
        || error.is_canceled()
        || error.is_closed()
        || error.is_timeout()
        || error.is_shutdown()
        || error.is_incomplete_message()
        || error.is_body_write_aborted();
    error.is_parse() || !is_handled && !error_sources(error).any(<dyn std::error::Error>::is::<io::Error>)
}
