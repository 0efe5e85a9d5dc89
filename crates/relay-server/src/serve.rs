//! Serves the relay on a socket by HTTP/1.1 and cleartext HTTP/2, and drains it on shutdown.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tower::Service;

use crate::relay::Relay;
use crate::serve_settings::ServeSettings;

/// The backlog of connections to accept. With the usual 128, a burst of a thousand clients runs into SYN retries of one
/// second each.
const BACKLOG: u32 = 4096;
/// The limit of an HTTP/1.1 head and the size of one read, in bytes.
const HTTP1_BUFFER: usize = 256 * 1024;
/// The limit of the header list of an HTTP/2 request, in bytes.
const HTTP2_HEADER_LIST: u32 = 64 * 1024;
/// The limit of concurrent HTTP/2 streams on one connection.
const HTTP2_STREAMS: u32 = 250;
/// The flow-control window of an HTTP/2 stream, in bytes: a usual request of Claude Code fits.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
/// The flow-control window of an HTTP/2 connection, in bytes.
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The pause after a failed accept, which fails again at once while no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// The interval of TCP keep-alive probes and HTTP/2 pings.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Binds a listener to `address`, with a backlog for bursts of connections.
///
/// # Errors
/// The system's error: the address is in use, does not belong to this machine, or is not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait until connections of the last process have timed out. On Windows the option would let
    // two processes share a port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The result of [`serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The number of connections that were still busy after `server.drain_timeout_ms`, and were cut.
    pub cut: usize,
}

/// Serves `relay` on `listener` until `shutdown` completes. Then it stops accepting, lets open requests finish within
/// `server.drain_timeout_ms`, and cuts the remaining connections.
///
/// Dropping the future cuts every connection at once. A panic in a response body ends its own connection only.
pub async fn serve(listener: TcpListener, relay: Relay, shutdown: impl Future<Output = ()>) -> Drained {
    let settings = relay.settings();
    let first_head = settings.head_timeouts.first;
    let server = Arc::new(connection_builder(settings));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (server, relay, watcher) = (Arc::clone(&server), relay.clone(), graceful.watcher());
                    connections.spawn(serve_connection(stream, server, relay, watcher, first_head));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    relay.start_draining();
    let drained = tokio::time::timeout(settings.drain_timeout, graceful.shutdown()).await.is_ok();
    while connections.try_join_next().is_some() {}
    let cut = if drained { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut }
}

fn connection_builder(settings: ServeSettings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
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
    if settings.enable_http2 { builder } else { builder.http1_only() }
}

async fn serve_connection(
    stream: TcpStream,
    server: Arc<auto::Builder<TokioExecutor>>,
    relay: Relay,
    watcher: Watcher,
    first_head: Duration,
) {
    if let Err(error) = set_options(&stream) {
        tracing::debug!(%error, "the connection closed before it was served");
        return;
    }
    let requested = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        // The relay is always ready: at its limit it answers with an error.
        relay.clone().call(request)
    });
    let mut connection = pin!(watcher.watch(server.serve_connection(TokioIo::new(stream), service)));
    let result = tokio::select! {
        result = &mut connection => result,
        () = tokio::time::sleep(first_head) => {
            if !requested.load(Ordering::Relaxed) {
                tracing::debug!("closed a connection without a request");
                return;
            }
            connection.await
        }
    };
    if let Err(error) = result {
        // A client that left, a malformed head, an answer that broke off: each was handled where it happened.
        tracing::debug!(error = &*error, "connection ended");
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Otherwise an event waits up to 40 ms for the acknowledgement of the one before (Nagle, delayed ACK).
    stream.set_nodelay(true)?;
    // Detects a client that vanished without closing its connection.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}
