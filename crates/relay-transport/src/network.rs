//! The way to upstreams: trusted certificates or TLS settings, proxies or a connector.

use std::fmt;
use std::path::Path;

use rustls::ClientConfig;

use crate::connect::Proxies;
use crate::custom_connector::CustomConnector;
use crate::roots::TrustRoots;
use crate::tls::{TlsError, client_config};

/// The way to upstreams, which several [`Transport`](crate::Transport)s share.
///
/// ```
/// use http::Uri;
/// use relay_transport::{CustomConnector, Network, Proxies, TrustRoots};
/// use tokio::net::TcpStream;
/// use tower::service_fn;
///
/// // The certificates of the system, and the proxies of `HTTPS_PROXY` and similar variables.
/// let network = Network::new(TrustRoots::load(), Proxies::from_environment());
///
/// // The same certificates, over a tunnel on this machine.
/// let tunnel = CustomConnector::new(service_fn(|_: Uri| TcpStream::connect("127.0.0.1:7000")));
/// let tunnelled = network.clone().with_connector(Some(tunnel));
/// # let _ = tunnelled;
/// ```
#[derive(Clone)]
pub struct Network {
    roots: TrustRoots,
    pub(crate) proxies: Proxies,
    tls: Option<ClientConfig>,
    pub(crate) connector: Option<CustomConnector>,
}

impl Network {
    /// Connects by TCP, through `proxies` where they apply. Servers are trusted by `roots`.
    #[must_use]
    pub fn new(roots: TrustRoots, proxies: Proxies) -> Self {
        Self { roots, proxies, tls: None, connector: None }
    }

    /// Uses these TLS settings in place of the trusted certificates. The protocols of ALPN are replaced.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ClientConfig>) -> Self {
        self.tls = tls;
        self
    }

    /// Connects by `connector` in place of TCP and proxies.
    #[must_use]
    pub fn with_connector(mut self, connector: Option<CustomConnector>) -> Self {
        self.connector = connector;
        self
    }

    /// Returns the TLS settings of an upstream with additional certificates in `ca_file`.
    pub(crate) fn tls(&self, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
        match (&self.tls, ca_file) {
            (None, _) => client_config(&self.roots, ca_file),
            (Some(_), Some(path)) => Err(TlsError::CaFileBesideTls { path: path.to_owned() }),
            (Some(tls), None) => {
                let mut tls = tls.clone();
                // The connector sets them, and refuses others.
                tls.alpn_protocols.clear();
                Ok(tls)
            }
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("connector", &self.connector).finish_non_exhaustive()
    }
}
