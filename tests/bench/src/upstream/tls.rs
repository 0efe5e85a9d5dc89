//! A certificate authority for one run, and the upstream's side of TLS.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::Result;

/// Creates an authority, writes its certificate to `ca_file`, and returns acceptors for HTTP/1.1 and for HTTP/2.
/// # Errors
/// If keys, certificates or the file cannot be made.
pub(crate) fn acceptors(ca_file: &Path) -> Result<(TlsAcceptor, TlsAcceptor)> {
    let mut params = CertificateParams::new(Vec::new())?;
    // OpenSSL takes a certificate for self-signed if its subject is its issuer, as two of rcgen's default names are.
    params.distinguished_name.push(DnType::CommonName, "relay-bench authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    std::fs::write(ca_file, authority.pem())?;

    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )?;
    let acceptor = |protocol: &str| {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        TlsAcceptor::from(Arc::new(config))
    };
    Ok((acceptor("http/1.1"), acceptor("h2")))
}
