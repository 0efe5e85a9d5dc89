//! The certificates that a command trusts when it connects to a relay.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use relay_transport::{Validity, is_self_issued};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The trust in a relay: its own certificate, by the file that the configuration names, under any name and address, since a command
/// connects to `127.0.0.1`. Other certificates need a name that matches, and an authority.
#[derive(Debug, Clone, Default)]
pub(crate) struct RelayTrust {
    /// The file of the relay's certificate.
    pub(crate) own: Option<PathBuf>,
    pub(crate) authorities: Authorities,
}

/// The authorities of certificates.
#[derive(Debug, Clone)]
pub(crate) enum Authorities {
    /// The authorities of the system, and those in this file.
    System { further: Option<PathBuf> },
    /// The root authorities in this file alone. A certificate that is its own authority is one.
    RootsIn(PathBuf),
}

impl Default for Authorities {
    fn default() -> Self {
        Self::System { further: None }
    }
}

impl Authorities {
    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let mut certificates = Vec::new();
        let file = match self {
            Self::System { further } => {
                certificates.extend(rustls_native_certs::load_native_certs().certs);
                further.as_ref()
            }
            Self::RootsIn(file) => Some(file),
        };
        let read = file.and_then(|file| CertificateDer::pem_file_iter(file).ok()).into_iter().flatten();
        certificates.extend(read.filter_map(Result::ok));
        if matches!(self, Self::RootsIn(_)) {
            certificates.retain(|certificate| is_self_issued(certificate));
        }
        certificates
    }
}

impl RelayTrust {
    /// Trusts the certificate in the file `own`, and the authorities of the system.
    pub(crate) fn own(own: Option<PathBuf>) -> Self {
        Self { own, authorities: Authorities::default() }
    }

    pub(super) fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = self.own.as_ref().and_then(|file| CertificateDer::from_pem_file(file).ok());
        let trusted = self.authorities.certificates();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        // Without any authority, the own certificate is the only one.
        let authorities = authorities.build().ok();
        let verifier = Verifier { own, trusted, authorities, provider: Arc::clone(&provider) };
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(client)
    }
}

/// Accepts one certificate by its bytes, some by their bytes and names, and others by the authorities. The signature of the handshake
/// is verified in all cases.
#[derive(Debug)]
struct Verifier {
    own: Option<CertificateDer<'static>>,
    /// The certificates of the authorities.
    trusted: Vec<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.authorities {
            _ if self.own.as_ref() == Some(certificate) => Ok(ServerCertVerified::assertion()),
            // One that may sign others too, as `openssl req -x509` makes it. webpki would refuse it, and OpenSSL does not.
            _ if self.trusted.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                let is_valid = |it: Validity| (it.from..=it.until).contains(&SystemTime::now());
                match Validity::of(certificate).is_some_and(is_valid) {
                    true => Ok(ServerCertVerified::assertion()),
                    false => Err(CertificateError::Expired.into()),
                }
            }
            Some(authorities) => authorities.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
