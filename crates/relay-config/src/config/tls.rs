//! The certificate of the listener for clients.

use std::path::PathBuf;

/// The files of the listener's TLS, `server.tls`. All are PEM.
///
/// ```
/// use relay_config::{ServerConfig, TlsConfig};
///
/// let tls = TlsConfig::new("/etc/cc-relay/fullchain.pem", "/etc/cc-relay/key.pem").with_client_ca("/etc/cc-relay/clients.pem");
/// let server = ServerConfig::default().with_tls(tls);
/// assert!(server.admits_by_certificate());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate of the relay, followed by the intermediate certificates of its authority.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of client certificates. If it is set, a client without a certificate of one of them is refused.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// Creates the settings of a listener that requires no client certificate.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into(), client_ca: None }
    }

    /// Requires of each client a certificate that an authority in this file has issued.
    #[must_use]
    pub fn with_client_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(file.into());
        self
    }
}
