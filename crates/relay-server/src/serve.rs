//! The relay on a socket: HTTP/1.1 and cleartext HTTP/2, until it is told to stop.

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

/// Connections that wait to be accepted. The usual 128 lets a burst of a thousand clients run into SYN retries of a
/// second each.
const BACKLOG: u32 = 4096;
/// Bytes of an HTTP/1 head, and of what is read at once.
const HTTP1_BUFFER: usize = 256 * 1024;
const HTTP2_HEADER_LIST: u32 = 64 * 1024;
const HTTP2_STREAMS: u32 = 250;
/// A request of Claude Code's fits into a stream's window.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// When the system has no file descriptor left, the next one is a while away.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A listener on `address` with a backlog for bursts of connections.
///
/// # Errors
/// The system's: the address is in use, not this machine's, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart does not wait for connections of the last process to time out. On Windows the option would let two
    // processes share a port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How a [`serve`] came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because `server.drain_timeout_ms` was over.
    pub cut: usize,
}

/// Serves `relay` on `listener` until `shutdown` completes; then stops accepting, lets open requests finish for as
/// long as `server.drain_timeout_ms` says, and cuts what is left. Dropping the future cuts everything at once.
pub async fn serve(listener: TcpListener, relay: Relay, shutdown: impl Future<Output = ()>) -> Drained {
    let settings = relay.settings();
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
                    connections.spawn(serve_connection(stream, server, relay, watcher, settings.head_timeouts.first));
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
        tracing::debug!(%error, "the connection was gone before it was served");
        return;
    }
    let requested = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        // The relay is always ready: it turns requests away by answering them.
        relay.clone().call(request)
    });
    let mut connection = pin!(watcher.watch(server.serve_connection(TokioIo::new(stream), service)));
    let result = tokio::select! {
        result = &mut connection => result,
        () = tokio::time::sleep(first_head) => {
            if !requested.load(Ordering::Relaxed) {
                tracing::debug!("closed a connection that brought no request");
                return;
            }
            connection.await
        }
    };
    if let Err(error) = result {
        // A client that left, a head that was none, an answer that broke off: each has been dealt with where it
        // happened.
        tracing::debug!(error = &*error, "connection ended");
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Without it an event waits for the acknowledgement of the one before, up to 40 ms.
    stream.set_nodelay(true)?;
    // A client that vanished without a word is noticed.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}
