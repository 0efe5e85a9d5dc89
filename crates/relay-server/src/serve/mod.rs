//! Serves the relay on sockets by HTTP/1.1 and HTTP/2, with or without TLS, and drains it on shutdown.
//!
//! ```text
//! Acceptor ─▶ Connection ─▶ Opening: handshake of TLS, version of HTTP
//!                        ─▶ ClientIo: the answers to bytes that are no request
//!                           ▸ TlsClient, if the listener has TLS ▸ TimedSocket: time limit of writes, an orderly end
//!                        ─▶ StreamExecutor: one task per HTTP/2 stream, time limit of writes
//!                        ─▶ Relay, between ReceivedBody and SentBody, which note the progress of the exchange in Activity
//! ```

mod accept;
mod activity;
mod client_io;
mod client_stream;
mod client_version;
mod connection;
mod exchange;
mod header_map;
#[cfg(unix)]
mod inherited;
mod io_enum;
mod listener;
mod log_interval;
mod open_connections;
mod opening;
mod peer;
mod piece;
mod progress;
mod refusal;
mod served;
mod serving;
mod settings;
mod socket;
#[cfg(unix)]
mod socket_file;
mod stop;
mod streams;
mod tcp;
mod timed_socket;
mod tls;
#[cfg(unix)]
mod unix;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::listener_rules::ListenerRules;
use crate::offload::MayBlock;
use crate::reload::Reloadable;
use accept::Acceptor;
use connection::Connection;
pub use listener::Listener;
pub use peer::BoundAddress;
pub(crate) use peer::PeerAddress;
pub(crate) use served::Served;
pub(crate) use serving::Serving;
pub(crate) use settings::{HeadTimeouts, ListenerOptions};
#[cfg(unix)]
pub use socket_file::SocketFile;
pub use stop::Stop;
use stop::Stopping;
pub use tcp::{bind, bind_ipv6_only};
pub use tls::{ListenerTls, ListenerTlsError};
#[cfg(unix)]
pub use unix::bind_unix;

/// The longest time for which an error waits for the end of the request's body. The rest is read after the response: a body
/// that is already on its way ends within this time, and the connection can be reused.
const LINGER_TIME: Duration = Duration::from_millis(200);

/// The result of [`serve`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The number of connections that were still busy after `server.drain_timeout_ms`, and were cut.
    pub cut: usize,
}

/// Serves `relay`, a [`Relay`](crate::Relay) or a [`Reloadable`], on `listener` until `shutdown` completes. A Unix socket counts
/// as a loopback listener: requests name a loopback host, or one of `server.allowed_hosts`.
///
/// The program that calls it opens the sockets: `server.listen` and `server.tls` of the configuration have no effect here. Without
/// [`Listener::with_tls`] the listener serves plain HTTP, and requires no client certificate, even if `server.tls` is set.
///
/// Then `/readyz` answers 503, and requests are served as before for `server.drain_delay_ms`. After that it takes the connections
/// that wait in the system's queue, stops accepting, closes connections without a complete request, lets open requests finish
/// within `server.drain_timeout_ms`, and cuts the remaining connections. A request that is on its way has half a second to arrive;
/// an answer from then on has `connection: close`, and an HTTP/2 connection gets GOAWAY.
///
/// If a client accepts no byte of its response for `server.write_timeout_ms`, its connection is reset, or its HTTP/2
/// stream. If a client closes its side of a connection, its requests are cancelled. A panic in a response body ends
/// only the connection of that response. Dropping the future cuts every connection at once.
pub async fn serve(
    listener: impl Into<Listener>,
    relay: impl Into<Reloadable>,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let stop = async {
        shutdown.await;
        Stop::Close
    };
    serve_on(listener.into(), relay.into(), stop).await
}

/// Serves `relay` on `listener` until `stop` completes, and stops in the way that it returns. [`serve`] describes the rest.
///
/// A process that hands its socket over to another one keeps a duplicate of it, or passes it on before this future ends. No connection
/// is accepted once `stop` has returned [`Stop::HandOver`].
pub async fn serve_until(
    listener: impl Into<Listener>,
    relay: impl Into<Reloadable>,
    stop: impl Future<Output = Stop>,
) -> Drained {
    serve_on(listener.into(), relay.into(), stop).await
}

/// Serves `served` on `listener` until `stop` completes, as [`serve`] describes.
pub(crate) async fn serve_on<S: Served>(
    listener: Listener,
    served: S,
    stop: impl Future<Output = Stop>,
) -> Drained {
    let is_loopback = listener.local_addr().is_ok_and(|address| address.is_loopback());
    let served =
        served.on_listener(ListenerRules { is_loopback, linger: LINGER_TIME, may_block: MayBlock::here() });
    let tls = listener.tls().cloned();
    // The places of the relay in use now. A relay that replaces it brings no further ones.
    let limit = served.serving().connections;
    let open = Arc::clone(limit.open());
    let mut acceptor = Acceptor::new(listener, limit);
    let (stopped, stopping) = Stopping::new();
    let mut connections = JoinSet::new();
    let connection = |accepted| {
        let connection = Connection::new(served.clone(), stopping.clone(), Arc::clone(&open));
        connection.with_tls(tls.clone()).serve(accepted)
    };
    let mut stop = pin!(async {
        let stop = stop.await;
        if stop == Stop::Close {
            start_draining(&served).await;
        }
        stop
    });
    let stop = loop {
        tokio::select! {
            biased;
            stop = &mut stop => break stop,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = acceptor.accept() => { connections.spawn(connection(accepted)); }
        }
    };
    if stop == Stop::Close {
        // A connection that is in the queue when the listener closes would be reset.
        acceptor.accept_waiting().for_each(|accepted| {
            connections.spawn(connection(accepted));
        });
    }
    drop(acceptor);
    stopped.send_replace(Some(stop));
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // An error is the end of the time limit. The rest is cut.
    let _ = tokio::time::timeout(served.serving().settings.drain_timeout, all_ended).await;
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

/// Makes `/readyz` answer 503, and waits for `server.drain_delay_ms`.
async fn start_draining(served: &impl Served) {
    served.start_draining();
    let delay = served.serving().settings.drain_delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
