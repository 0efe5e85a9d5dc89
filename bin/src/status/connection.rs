//! Connections to a relay: by TCP, with TLS, or over a Unix socket.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::uri::Authority;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::trust::RelayTrust;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The kind of the connections to a relay.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    /// TCP.
    Plain,
    /// TLS over TCP, with the certificates that are trusted.
    Tls(RelayTrust),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

/// The bytes of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Transport {
    /// Connects to the relay at `authority`.
    pub(super) async fn connect(&self, authority: &Authority) -> io::Result<Box<dyn Stream>> {
        let host = authority.host().trim_matches(['[', ']']);
        match self {
            Self::Plain => {
                let port = authority.port_u16().unwrap_or(HTTP_PORT);
                Ok(Box::new(TcpStream::connect((host, port)).await?))
            }
            Self::Tls(trust) => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(HTTPS_PORT))).await?;
                let connector =
                    TlsConnector::from(Arc::new(trust.client_config().map_err(io::Error::other)?));
                Ok(Box::new(connector.connect(name, stream).await?))
            }
            Self::Unix(path) => connect_unix(path).await,
        }
    }
}

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn connect_unix(_: &std::path::Path) -> io::Result<Box<dyn Stream>> {
    Err(io::ErrorKind::Unsupported.into())
}
