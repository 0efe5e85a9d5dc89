//! The pool of connections to an upstream.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use relay_messages::Payload;
use tower::BoxError;

use crate::connect::{Connector, Proxies};
use crate::tls::{TlsError, TrustRoots, client_config};

/// The time after which an idle connection is closed. It is shorter than the upstream's own limit (60 s at the usual load
/// balancers), which could close the connection during a request.
const POOL_IDLE: Duration = Duration::from_secs(50);
const POOL_IDLE_PER_HOST: usize = 64;

/// The settings of a [`Transport`].
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The time limit for a new connection, name lookup and TLS included.
    pub connect_timeout: Duration,
    /// The longest silence within a response's body.
    pub idle_timeout: Duration,
    /// A PEM file with certificates to trust in addition to the roots.
    pub ca_file: Option<PathBuf>,
}

/// A pool of connections. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Client<Connector, RequestBody>,
    idle_timeout: Duration,
}

impl Transport {
    /// Creates a pool for upstreams that share `settings`. Opens no connection yet.
    ///
    /// # Errors
    /// [`TlsError`] if the certificates in `ca_file` cannot be used.
    pub fn new(settings: &TransportSettings, roots: &TrustRoots, proxies: Proxies) -> Result<Self, TlsError> {
        let tls = client_config(roots, settings.ca_file.as_deref())?;
        let connector = Connector::new(tls, proxies, settings.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .build(connector);
        Ok(Self { client, idle_timeout: settings.idle_timeout })
    }

    /// The longest silence within a response's body.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Sends `request` and waits for the response head. Dropping the future or the response's body cancels the exchange.
    ///
    /// # Errors
    /// [`SendError::Connect`] if nothing was sent, [`SendError::Exchange`] if part of the request may have been.
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, SendError> {
        self.client.request(request).await.map_err(|error| {
            let connect = error.is_connect();
            let source: BoxError = error.into();
            if connect { SendError::Connect(source) } else { SendError::Exchange(source) }
        })
    }
}

/// The reason that there is no response head.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made: refused, unreachable, unknown name, TLS, or too slow. Nothing was sent.
    #[error("cannot connect to the upstream")]
    Connect(#[source] BoxError),
    /// The connection failed before the response head. Part of the request may have been sent.
    #[error("the upstream closed the connection before it answered")]
    Exchange(#[source] BoxError),
}

/// The body of an upstream request.
#[derive(Debug)]
pub enum RequestBody {
    /// A complete body, which can be sent again by another attempt.
    Payload(Payload),
    /// A body that is forwarded as it arrives, and cannot be sent again.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Payload(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Payload(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Payload(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
