//! A certificate with the settings of its connections.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

/// A certificate with its key, ready for handshakes.
pub(super) struct Certificate {
    /// The settings of connections that may have HTTP/2.
    pub(super) http2: Arc<ServerConfig>,
    /// The settings of connections that have HTTP/1.1.
    pub(super) http1: Arc<ServerConfig>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) client_ca: Vec<CertificateDer<'static>>,
}
