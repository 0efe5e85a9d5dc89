//! Whom the relay trusts.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tower::BoxError;

/// The certificates that upstreams are checked against. Cloning shares them.
#[derive(Debug, Clone)]
pub struct TrustRoots(Arc<RootCertStore>);

impl TrustRoots {
    /// The system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); where it has none, as in a
    /// container without them, those that Mozilla trusts.
    #[must_use]
    pub fn load() -> Self {
        let mut store = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some of the system's certificates cannot be read");
        }
        store.add_parsable_certificates(native.certs);
        if store.is_empty() {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Self(Arc::new(store))
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be read, or is no PEM.
    #[error("ca_file {} cannot be read", path.display())]
    CaFile {
        /// As configured.
        path: PathBuf,
        #[source]
        /// Why.
        source: pem::Error,
    },
    /// The CA file is PEM without a certificate.
    #[error("ca_file {} holds no certificate", path.display())]
    NoCertificate {
        /// As configured.
        path: PathBuf,
    },
    /// A certificate of the CA file cannot be trusted.
    #[error("a certificate in ca_file {} cannot be used", path.display())]
    Certificate {
        /// As configured.
        path: PathBuf,
        #[source]
        /// Why.
        source: rustls::Error,
    },
    /// The TLS library has no protocol version in common with itself.
    #[error("TLS cannot be set up")]
    Protocol(#[source] rustls::Error),
}

/// None of the known authorities has issued a certificate, or only another one of the same name. Behind it is a gateway
/// of one's own, or a proxy that looks into TLS; the library's word for it does not tell what can be done.
#[derive(Debug, thiserror::Error)]
#[error("its certificate is not trusted; set ca_file to a PEM file with the authority that has issued it")]
pub(crate) struct Untrusted;

impl Untrusted {
    /// This, where it is what `error` is about; else `error`.
    pub(crate) fn or(error: BoxError) -> BoxError {
        match tls_error(&*error) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Self.into(),
            _ => error,
        }
    }
}

/// Whether a connection failed over the upstream's certificate.
pub fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let is_it = |error: &(dyn Error + 'static)| {
        error.is::<Untrusted>() || matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_)))
    };
    is_it(error) || error.source().is_some_and(is_about_certificate)
}

/// Looks into the I/O errors that TLS errors travel in; `source` would skip what they hold.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// TLS settings of one upstream; `ca_file` adds to the roots. ALPN is the connector's to choose.
pub(crate) fn client_config(roots: &TrustRoots, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = roots.0.clone();
    if let Some(path) = ca_file {
        let store = Arc::make_mut(&mut roots);
        let malformed = |source| TlsError::CaFile { path: path.to_owned(), source };
        let before = store.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(malformed)? {
            let certificate = certificate.map_err(malformed)?;
            store
                .add(certificate)
                .map_err(|source| TlsError::Certificate { path: path.to_owned(), source })?;
        }
        if store.len() == before {
            return Err(TlsError::NoCertificate { path: path.to_owned() });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
