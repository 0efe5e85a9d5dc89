//! The pool of connections to an upstream.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, Response, Uri};

use crate::connect::{Connector, Proxies};
use crate::diagnosis::Diagnosis;
use crate::network::Network;
use crate::pool::{Pool, QueueTime, ReceivedBody, SendError};
use crate::request_body::RequestBody;
use crate::roots::TrustRoots;
use crate::tls::TlsError;

/// The settings of a [`Transport`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportSettings {
    /// The time limit for a new connection, name lookup and TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// The longest silence within a response's body. Default 300 s.
    pub idle_timeout: Duration,
    /// A PEM file with certificates to trust in addition to the roots.
    pub ca_file: Option<PathBuf>,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
            ca_file: None,
        }
    }
}

impl TransportSettings {
    /// Sets the time limit for a new connection, name lookup and TLS included.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the longest silence within a response's body.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the PEM file with certificates to trust in addition to the roots. `None`, the default, is no file.
    #[must_use]
    pub fn with_ca_file(mut self, path: impl Into<Option<PathBuf>>) -> Self {
        self.ca_file = path.into();
        self
    }
}

/// A pool of connections. Cloning shares it.
///
/// ```no_run
/// use http::Request;
/// use relay_messages::Payload;
/// use relay_transport::{Proxies, RequestBody, Transport, TransportSettings, TrustRoots};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = TransportSettings::default();
/// let transport = Transport::new(&settings, &TrustRoots::load(), Proxies::from_environment())?;
/// let request = Request::get("https://api.anthropic.com/v1/models").body(RequestBody::from(Payload::default()))?;
/// let response = transport.send(request).await?;
/// assert_eq!(response.status(), 401);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Transport {
    pool: Pool,
    connector: Connector,
    idle_timeout: Duration,
}

impl Transport {
    /// Creates a pool for upstreams that share `settings`. Opens no connection yet.
    ///
    /// # Errors
    /// [`TlsError`] if the certificates in `ca_file` cannot be used.
    pub fn new(settings: &TransportSettings, roots: &TrustRoots, proxies: Proxies) -> Result<Self, TlsError> {
        Self::over(settings, &Network::new(roots.clone(), proxies))
    }

    /// Creates a pool for upstreams that share `settings`, over `network`. Opens no connection yet.
    ///
    /// # Errors
    /// [`TlsError`] if the certificates in `ca_file` cannot be used.
    pub fn over(settings: &TransportSettings, network: &Network) -> Result<Self, TlsError> {
        let tls = network.tls(settings.ca_file.as_deref())?;
        let proxies = network.proxies.clone();
        let custom = network.connector.clone();
        let connector = Connector::new(tls, proxies, settings.connect_timeout, custom);
        Ok(Self { pool: Pool::new(connector.clone()), connector, idle_timeout: settings.idle_timeout })
    }

    /// The longest silence within a response's body.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Makes a connection to the server of `uri` step by step, to find the step that fails. Each step has the time limit of a
    /// connection, and at most `limit`. No request is sent, and the connection is not used again. `None` if a program makes the
    /// connections.
    pub async fn diagnose(&self, uri: &Uri, limit: Duration) -> Option<Diagnosis> {
        if self.connector.is_custom() {
            return None;
        }
        Some(Diagnosis::make(&self.connector, uri, limit).await)
    }

    /// Sends `request` and waits for the response head. Dropping the future or the response's body cancels the exchange.
    ///
    /// A request that the upstream has provably not processed is sent once more, on a new connection.
    ///
    /// # Errors
    /// [`SendError::Connect`] and [`SendError::Saturated`] if nothing was sent, [`SendError::Exchange`] if part of the request
    /// may have been.
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Response<ReceivedBody>, SendError> {
        self.pool.send(request, &QueueTime::default()).await
    }

    /// Sends `request` as [`send`](Self::send) does. `queue` measures the wait for a free connection, which is not part
    /// of a time limit for the upstream.
    ///
    /// # Errors
    /// The errors of [`send`](Self::send).
    pub fn send_measured(
        &self,
        request: Request<RequestBody>,
        queue: &QueueTime,
    ) -> impl Future<Output = Result<Response<ReceivedBody>, SendError>> {
        self.pool.send(request, queue)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("idle_timeout", &self.idle_timeout).finish_non_exhaustive()
    }
}
