//! A way for the clients of the tests, which speak TCP, to servers with TLS and on Unix sockets.

use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::time_limit::within_limit;

/// A listener on `127.0.0.1` that opens a connection to a server for each of its own, and forwards the bytes. A connection that
/// the server breaks off is reset.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Tunnel {
    /// Forwards to a server with TLS, whose certificate is for `127.0.0.1`.
    /// # Panics
    /// If the system has no free port.
    pub async fn over_tls(server: SocketAddr, client: ClientConfig) -> Self {
        let client = Arc::new(client);
        Self::start(move || {
            let client = Arc::clone(&client);
            async move { tls_connection(server, client).await }
        })
        .await
    }

    /// Forwards to a server on a Unix socket.
    /// # Panics
    /// If the system has no free port.
    #[cfg(unix)]
    pub async fn to_unix(path: &Path) -> Self {
        let path = path.to_owned();
        Self::start(move || tokio::net::UnixStream::connect(path.clone())).await
    }

    async fn start<S, F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, connect()));
            }
        });
        Self { address, accepting: accepting.abort_handle() }
    }

    /// Returns the address of the listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward<S>(mut client: TcpStream, connecting: impl Future<Output = std::io::Result<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = client.set_nodelay(true);
    let forwarded = async { copy_bidirectional(&mut client, &mut connecting.await?).await };
    if forwarded.await.is_err() {
        let _ = client.set_zero_linger();
    }
}

/// Opens a connection with TLS to a server whose certificate is for `127.0.0.1`.
/// # Errors
/// If the connection or the handshake fails.
/// # Panics
/// If the handshake takes too long.
pub async fn tls_connection(
    server: SocketAddr,
    client: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(server.ip().into());
    within_limit("TLS handshake", TlsConnector::from(client.into()).connect(name, stream)).await
}
