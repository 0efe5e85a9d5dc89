//! Reads the files of a listener's TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use relay_config::TlsConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::certificate::Certificate;
use super::error::ListenerTlsError;

const CERT: &str = "server.tls.cert";
const KEY: &str = "server.tls.key";
const CLIENT_CA: &str = "server.tls.client_ca";

/// The names of the protocols in ALPN.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Reads the files, and checks that they belong together.
pub(super) fn load(files: &TlsConfig) -> Result<Certificate, ListenerTlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(CERT, &files.cert)?;
    let key = certified_key(files, &chain, &provider)?;
    let client_ca = files.client_ca.as_deref().map(|path| certificates(CLIENT_CA, path)).transpose()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| settings(&error))?;
    let builder = match (&files.client_ca, &client_ca) {
        (Some(path), Some(authorities)) => {
            let roots = Arc::new(roots(path, authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| settings(&error))?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut http1 = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
    let mut http2 = http1.clone();
    http1.alpn_protocols = vec![HTTP1.to_vec()];
    http2.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Certificate {
        http1: Arc::new(http1),
        http2: Arc::new(http2),
        chain,
        client_ca: client_ca.unwrap_or_default(),
    })
}

fn settings(error: &dyn std::fmt::Display) -> ListenerTlsError {
    ListenerTlsError::Settings { reason: error.to_string() }
}

/// Reads the certificates of a file, in their order.
fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ListenerTlsError> {
    let text = read(setting, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(ListenerTlsError::NoCertificate { setting, path: path.to_owned() })
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(setting, path, &error)),
    }
}

/// Reads the key of the first certificate in `chain`.
fn certified_key(
    files: &TlsConfig,
    chain: &[CertificateDer<'static>],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, ListenerTlsError> {
    let path = || files.key.clone();
    let text = read(KEY, &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => ListenerTlsError::EncryptedKey { path: path() },
        pem::Error::NoItemsFound => ListenerTlsError::NoKey { path: path() },
        // The base64 of a key with a header, `Proc-Type: 4,ENCRYPTED`.
        _ if is_encrypted(&text) => ListenerTlsError::EncryptedKey { path: path() },
        error => malformed(KEY, &files.key, &error),
    })?;
    if is_encrypted(&text) {
        return Err(ListenerTlsError::EncryptedKey { path: path() });
    }
    let key = provider.key_provider.load_private_key(key);
    let key = CertifiedKey::new(
        chain.to_vec(),
        key.map_err(|_| ListenerTlsError::UnsupportedKey { path: path() })?,
    );
    match key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(key),
        Err(Error::InconsistentKeys(_)) => {
            Err(ListenerTlsError::Mismatch { cert: files.cert.clone(), key: path() })
        }
        Err(error) => Err(ListenerTlsError::Certificate {
            setting: CERT,
            path: files.cert.clone(),
            reason: error.to_string(),
        }),
    }
}

/// Returns the authorities of client certificates.
fn roots(path: &Path, authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, ListenerTlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| ListenerTlsError::Certificate {
            setting: CLIENT_CA,
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, ListenerTlsError> {
    fs::read(path).map_err(|source| ListenerTlsError::Read { setting, path: path.to_owned(), source })
}

fn malformed(setting: &'static str, path: &Path, error: &pem::Error) -> ListenerTlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "the first line of a section is not complete".to_owned(),
        // The bytes may be those of a key.
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        error => error.to_string(),
    };
    ListenerTlsError::Malformed { setting, path: path.to_owned(), reason }
}

/// Returns `true` if the text has a key that needs a passphrase.
fn is_encrypted(text: &[u8]) -> bool {
    [&b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"]
        .into_iter()
        .any(|mark| text.windows(mark.len()).any(|window| window == mark))
}
