//! TLS for scripted upstreams, with a certificate authority per test.

use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The number of authorities that this process has created.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// A certificate authority with one server certificate.
#[derive(Clone)]
pub struct CertificateAuthority {
    ca_file: Arc<NamedTempFile>,
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    acceptor: TlsAcceptor,
}

impl CertificateAuthority {
    /// Creates an authority with a server certificate for `127.0.0.1` and `localhost`. No system trusts it.
    /// # Panics
    /// If the keys or the temporary file cannot be created.
    #[must_use]
    pub fn new() -> Self {
        Self::for_names(&["127.0.0.1", "localhost"])
    }

    /// Creates an authority with a server certificate for these names.
    /// # Panics
    /// If the keys or the temporary file cannot be created, or if a name is invalid.
    #[must_use]
    pub fn for_names(names: &[&str]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("an empty list of names is valid");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Clients find an authority by its name.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let ca = CertifiedIssuer::self_signed(params, new_key()).expect("a self-signed certificate");
        let mut ca_file = NamedTempFile::new().expect("a temporary file");
        ca_file.write_all(ca.pem().as_bytes()).expect("a temporary file takes writes");

        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = new_key();
        let params = CertificateParams::new(names).expect("valid names");
        let certificate = params.signed_by(&key, &ca).expect("a signed certificate");

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("certificate and key belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self { ca_file: Arc::new(ca_file), issuer: Arc::new(ca), acceptor }
    }

    /// Returns the path of the authority's certificate, a PEM file that exists as long as the authority.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.ca_file.path()
    }

    pub(crate) fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.issuer
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Io> {
        Ok(Io::Tls(Box::new(self.acceptor.accept(stream).await?)))
    }

    /// Accepts a TLS connection with `h2` as the only ALPN protocol.
    pub(crate) async fn accept_http2(&self, stream: TcpStream) -> io::Result<Io> {
        let mut config = ServerConfig::clone(self.acceptor.config());
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        Ok(Io::Tls(Box::new(stream)))
    }
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority").field("ca_file", &self.ca_file()).finish_non_exhaustive()
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

/// The upstream's end of a connection, with or without TLS.
#[derive(Debug)]
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// Returns the TCP socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Returns `true` if TLS has negotiated HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

/// Forwards a poll to the variant's stream.
macro_rules! delegate {
    ($io:expr, $method:ident($($argument:expr),*)) => {
        match $io.get_mut() {
            Io::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Io::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }
}
