//! The TLS settings of upstreams.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use relay_messages::error_sources;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tower::BoxError;

use crate::roots::{RootsVerifier, TrustRoots};

/// An error while setting up TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be read, or is not PEM.
    #[error("ca_file {} cannot be read", path.display())]
    CaFile {
        /// The configured path.
        path: PathBuf,
        #[source]
        /// The cause.
        source: BoxError,
    },
    /// The CA file is PEM, but contains no certificate.
    #[error("ca_file {} holds no certificate", path.display())]
    NoCertificate {
        /// The configured path.
        path: PathBuf,
    },
    /// A certificate in the CA file cannot be used as a root.
    #[error("a certificate in ca_file {} cannot be used", path.display())]
    Certificate {
        /// The configured path.
        path: PathBuf,
        #[source]
        /// The cause.
        source: BoxError,
    },
    /// The CA file would have no effect, because the TLS settings are made in code.
    #[error("ca_file {} has no effect beside TLS settings made in code; add its certificates to them", path.display())]
    CaFileBesideTls {
        /// The configured path.
        path: PathBuf,
    },
    /// The TLS library has no protocol version in common with itself.
    #[error("TLS cannot be set up")]
    Protocol(#[source] BoxError),
}

/// The server's certificate was not issued by a trusted authority, or by another one of the same name. The usual reasons
/// are a private gateway and a proxy that intercepts TLS. The message names the fix, which rustls's message does not.
#[derive(Debug, thiserror::Error)]
#[error("its certificate is not trusted; set ca_file to a PEM file with the authority that has issued it")]
pub(crate) struct Untrusted;

impl Untrusted {
    /// Returns this error if `error` is about an untrusted certificate, otherwise `error`.
    pub(crate) fn or(error: BoxError) -> BoxError {
        match tls_error(&*error) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Self.into(),
            _ => error,
        }
    }
}

/// Returns `true` if a connection failed because of the upstream's certificate.
pub fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let is_it = |error: &(dyn Error + 'static)| {
        error.is::<Untrusted>() || matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_)))
    };
    is_it(error) || error_sources(error).any(is_it)
}

/// Finds a TLS error inside an I/O error. `source` would skip the inner error.
pub(crate) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// The TLS settings of one upstream. `ca_file` adds certificates to `roots`. The connector sets ALPN.
pub(crate) fn client_config(roots: &TrustRoots, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let further = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = RootsVerifier::new(roots.clone(), further, Arc::clone(&provider));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Protocol(source.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Reads the certificates in a CA file.
fn authorities(path: &Path) -> Result<Vec<TrustAnchor<'static>>, TlsError> {
    let malformed = |source: pem::Error| TlsError::CaFile { path: path.to_owned(), source: source.into() };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(malformed)? {
        let certificate = certificate.map_err(malformed)?;
        store
            .add(certificate)
            .map_err(|source| TlsError::Certificate { path: path.to_owned(), source: source.into() })?;
    }
    if store.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(store.roots)
}
