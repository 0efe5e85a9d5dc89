//! The trusted root certificates, which are loaded when they are needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fmt, thread};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// The trusted root certificates: those of the system, with `SSL_CERT_FILE` and `SSL_CERT_DIR` honoured. If the system has none,
/// as in a minimal container, they are Mozilla's. Cloning shares them.
#[derive(Clone, Default)]
pub struct TrustRoots(Arc<Shared>);

#[derive(Default)]
struct Shared {
    store: OnceLock<Arc<RootCertStore>>,
    /// True once a thread has been started that loads them.
    has_loader: AtomicBool,
}

impl TrustRoots {
    /// Loads the certificates. It takes some milliseconds, since a system has some hundred files.
    #[must_use]
    pub fn load() -> Self {
        let roots = Self::on_demand();
        roots.store();
        roots
    }

    /// Certificates that are loaded when a server's certificate is verified for the first time, by the thread that verifies it.
    /// A program that connects to no server with TLS never reads them.
    #[must_use]
    pub fn on_demand() -> Self {
        Self::default()
    }

    /// Loads the certificates on a thread of their own, so that the first handshake need not. The first call starts the thread,
    /// and the others have no effect. If the thread cannot be started, the certificates are loaded on demand.
    pub fn load_in_background(&self) {
        if self.0.store.get().is_some() || self.0.has_loader.swap(true, Ordering::Relaxed) {
            return;
        }
        let roots = self.clone();
        let load = move || {
            roots.store();
        };
        if let Err(error) = thread::Builder::new().name("certificates".into()).spawn(load) {
            tracing::warn!(%error, "the first connection with TLS loads the system's certificates: no thread could be started");
        }
    }

    fn store(&self) -> &Arc<RootCertStore> {
        self.0.store.get_or_init(|| Arc::new(system_roots()))
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustRoots").field("loaded", &self.0.store.get().map(|store| store.len())).finish()
    }
}

fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the system's certificates cannot be read");
    }
    store.add_parsable_certificates(native.certs);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// Verifies servers as rustls does for root certificates, with roots that need not be loaded yet.
#[derive(Debug)]
pub(crate) struct RootsVerifier {
    roots: TrustRoots,
    /// Authorities beside `roots`.
    further: Vec<TrustAnchor<'static>>,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl RootsVerifier {
    pub(crate) fn new(
        roots: TrustRoots,
        further: Vec<TrustAnchor<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { roots, further, provider, verifier: OnceLock::new() }
    }

    fn verifier(&self) -> Result<&WebPkiServerVerifier, Error> {
        let verifier = self.verifier.get_or_init(|| {
            let mut store = Arc::clone(self.roots.store());
            if !self.further.is_empty() {
                Arc::make_mut(&mut store).extend(self.further.iter().cloned());
            }
            WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&self.provider))
                .build()
                .map_err(|error| OtherError(Arc::new(error)).into())
        });
        verifier.as_deref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for RootsVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_verification_loads_the_roots() {
        let roots = TrustRoots::on_demand();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = RootsVerifier::new(roots.clone(), Vec::new(), provider);
        assert!(!verifier.supported_verify_schemes().is_empty());
        assert!(roots.0.store.get().is_none(), "a client's first message needs no roots");

        let (name, no_certificate) =
            (ServerName::try_from("localhost").unwrap(), CertificateDer::from(vec![0x30]));
        let refused = verifier.verify_server_cert(&no_certificate, &[], &name, &[], UnixTime::now());
        assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{refused:?}");
        assert!(!roots.store().is_empty());
        assert_eq!(Arc::strong_count(roots.store()), 2, "the upstreams without a ca_file share them");
    }

    #[test]
    fn roots_are_loaded_in_the_background_once() {
        let roots = TrustRoots::on_demand();
        roots.load_in_background();
        roots.load_in_background();
        while roots.0.store.get().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(roots.0.has_loader.load(Ordering::Relaxed));
        let loaded = TrustRoots::load();
        loaded.load_in_background();
        assert!(!loaded.0.has_loader.load(Ordering::Relaxed), "there is nothing left to load");
    }
}
