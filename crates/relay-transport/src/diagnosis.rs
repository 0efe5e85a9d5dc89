//! A connection made step by step, to find the step that fails.

use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use relay_messages::error_sources;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use tokio::time::Instant;
use tower::BoxError;

use crate::connect::Connector;
use crate::tls::tls_error;
use crate::x509::{self, Validity};

/// A connection, step by step: lookup of the name ▸ TCP, through a proxy if there is one ▸ TLS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The host and port of the proxy. `None` if the server is reached directly. An error is the reason that the proxy of the
    /// environment is not used; no step is then made.
    pub proxy: Result<Option<String>, StepError>,
    /// The host that is looked up: that of the proxy, or else that of the server.
    pub host: String,
    /// The addresses of the host. `None` if the step was not made.
    pub lookup: Option<Step<Vec<IpAddr>>>,
    /// The connection without TLS. `None` if a step before it failed.
    pub connect: Option<Step<()>>,
    /// The TLS handshake. `None` if a step before it failed, or for plain `http`.
    pub tls: Option<Step<TlsFacts>>,
}

/// A step of a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step<T> {
    /// The result of the step.
    pub result: Result<T, StepError>,
    /// The time that the step took.
    pub time: Duration,
}

/// The reason that a step of a connection failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct StepError {
    /// The innermost cause.
    pub message: String,
    /// `true` if the step exceeded its time limit.
    pub is_timeout: bool,
    /// The kind of a TLS error. `None` for every other error.
    pub tls: Option<TlsFault>,
    /// The certificate that was refused.
    pub certificate: Option<CertificateFacts>,
}

/// The kind of a failed TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// No trusted authority has issued the certificate.
    UnknownIssuer,
    /// The certificate is for other hosts.
    WrongHost,
    /// The validity of the certificate has ended.
    Expired,
    /// The validity of the certificate has not begun.
    NotYetValid,
    /// The server does not speak TLS.
    NotTls,
    /// Another error of the handshake.
    Other,
}

/// The facts of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The protocol version, such as `TLS 1.3`.
    pub version: &'static str,
    /// The certificate of the server.
    pub certificate: Option<CertificateFacts>,
}

/// The facts of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFacts {
    /// The name of the authority that issued it.
    pub issuer: Option<String>,
    /// The time in which it is valid.
    pub validity: Validity,
}

impl CertificateFacts {
    fn of(certificate: &[u8]) -> Option<Self> {
        Some(Self { issuer: x509::issuer(certificate), validity: Validity::of(certificate)? })
    }
}

impl StepError {
    fn new(error: &BoxError) -> Self {
        let chain = || std::iter::once(&**error as &(dyn Error + 'static)).chain(error_sources(&**error));
        let tls = chain().find_map(tls_error).map(TlsFault::of);
        // The innermost cause helps; the layers of libraries around it do not.
        let message = chain().last().map_or_else(String::new, ToString::to_string);
        Self { message, is_timeout: false, tls, certificate: None }
    }

    fn timeout(limit: Duration) -> Self {
        let message = format!("not done within {} ms", limit.as_millis());
        Self { message, is_timeout: true, tls: None, certificate: None }
    }
}

impl TlsFault {
    fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Self::UnknownIssuer,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongHost,
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::Expired,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Self::NotYetValid,
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

impl Diagnosis {
    /// Makes the steps to the server of `uri`, until one fails.
    pub(crate) async fn make(connector: &Connector, uri: &Uri, limit: Duration) -> Self {
        let (proxy, target) = match connector.proxy(uri) {
            Ok(Some((address, proxy))) => (Ok(Some(address)), proxy),
            Ok(None) => (Ok(None), uri.clone()),
            Err(error) => (Err(StepError::new(&error)), uri.clone()),
        };
        let host = target.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_refused = proxy.is_err();
        let mut diagnosis = Self { proxy, host, lookup: None, connect: None, tls: None };
        if is_refused {
            return diagnosis;
        }
        let limit = connector.timeout().min(limit);
        let lookup = timed(limit, lookup(diagnosis.host.clone(), port(&target))).await;
        let is_found = lookup.result.is_ok();
        diagnosis.lookup = Some(lookup);
        if !is_found {
            return diagnosis;
        }
        let connect = timed(limit, connector.connect_tcp(uri.clone())).await;
        let is_connected = connect.result.is_ok();
        diagnosis.connect = Some(connect);
        if is_connected && uri.scheme_str() == Some("https") {
            diagnosis.tls = Some(handshake(connector, uri, limit).await);
        }
        diagnosis
    }
}

fn port(uri: &Uri) -> u16 {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

/// Runs one step within `limit`.
async fn timed<T>(limit: Duration, step: impl Future<Output = Result<T, BoxError>>) -> Step<T> {
    let start = Instant::now();
    let result = match tokio::time::timeout(limit, step).await {
        Ok(result) => result.map_err(|error| StepError::new(&error)),
        Err(_) => Err(StepError::timeout(limit)),
    };
    Step { result, time: start.elapsed() }
}

async fn lookup(host: String, port: u16) -> Result<Vec<IpAddr>, BoxError> {
    let mut addresses: Vec<IpAddr> =
        tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect();
    addresses.dedup();
    match addresses.is_empty() {
        true => Err("the name has no address".into()),
        false => Ok(addresses),
    }
}

/// Makes a TLS connection. If its certificate is refused, makes another one that only reads the certificate.
async fn handshake(connector: &Connector, uri: &Uri, limit: Duration) -> Step<TlsFacts> {
    let connecting = async { connector.connect_tls(uri.clone()).await.map(|stream| facts(&stream)) };
    let mut step = timed(limit, connecting).await;
    if let Err(error) = &mut step.result
        && error.tls.is_some_and(|fault| !matches!(fault, TlsFault::NotTls | TlsFault::Other))
    {
        error.certificate = tokio::time::timeout(limit, presented(connector, uri)).await.ok().flatten();
    }
    step
}

fn facts<T>(stream: &MaybeHttpsStream<T>) -> TlsFacts {
    let MaybeHttpsStream::Https(stream) = stream else {
        return TlsFacts { version: "no TLS", certificate: None };
    };
    let (_, connection) = stream.inner().get_ref();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let certificate = connection.peer_certificates().and_then(|chain| CertificateFacts::of(chain.first()?));
    TlsFacts { version, certificate }
}

/// Returns the certificate that the server presents. The handshake is ended before anything is sent.
async fn presented(connector: &Connector, uri: &Uri) -> Option<CertificateFacts> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let reader = Arc::new(CertificateReader { schemes, certificate: Mutex::default() });
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&reader) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    // The reader refuses every certificate, so that this connection always fails.
    let _ = connector.connect_with(tls, uri.clone()).await;
    reader.certificate.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Reads the certificate of a handshake, and refuses it.
#[derive(Debug)]
struct CertificateReader {
    schemes: Vec<SignatureScheme>,
    certificate: Mutex<Option<CertificateFacts>>,
}

impl ServerCertVerifier for CertificateReader {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = CertificateFacts::of(certificate);
        Err(refused())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refused())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

fn refused() -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}
