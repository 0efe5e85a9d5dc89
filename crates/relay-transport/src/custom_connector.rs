//! Connections that a program makes itself: over a Unix socket, through a tunnel, in a simulation.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

/// A connector of a program. Cloning shares it.
///
/// ```
/// use http::Uri;
/// use relay_transport::CustomConnector;
/// use tower::service_fn;
///
/// // Reaches every upstream through a local gateway.
/// let connector = CustomConnector::new(service_fn(|_: Uri| tokio::net::TcpStream::connect("127.0.0.1:9000")));
/// # let _ = connector;
/// ```
#[derive(Clone)]
pub struct CustomConnector {
    connect: BoxCloneSyncService<Uri, CustomIo, BoxError>,
    is_plain: bool,
}

/// A byte stream of a program.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A connection of a program.
pub(crate) type CustomIo = TokioIo<Box<dyn ByteStream>>;

impl CustomConnector {
    /// Connects by `connector`, which is called with the scheme and the authority of the upstream. An `https` upstream gets
    /// TLS over the connection.
    pub fn new<C>(connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let connect = connector.map_err(Into::into).map_response(|stream| {
            let stream: Box<dyn ByteStream> = Box::new(stream);
            TokioIo::new(stream)
        });
        Self { connect: BoxCloneSyncService::new(connect), is_plain: false }
    }

    /// Speaks HTTP without TLS over the connections, also to an `https` upstream. For connections that do not leave the process.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { is_plain: true, ..self }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    pub(crate) async fn connect(self, uri: Uri) -> Result<AnyIo, BoxError> {
        self.connect.oneshot(uri).await.map(AnyIo::Custom)
    }
}

impl fmt::Debug for CustomConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomConnector").field("is_plain", &self.is_plain).finish_non_exhaustive()
    }
}

/// A connection before TLS.
pub(crate) enum AnyIo {
    Tcp(TokioIo<TcpStream>),
    Custom(CustomIo),
}

impl AnyIo {
    fn read(self: Pin<&mut Self>) -> Pin<&mut (dyn Read + Send + Unpin)> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io),
            Self::Custom(io) => Pin::new(io),
        }
    }

    fn write(self: Pin<&mut Self>) -> Pin<&mut (dyn Write + Send + Unpin)> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io),
            Self::Custom(io) => Pin::new(io),
        }
    }
}

impl Read for AnyIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.read().poll_read(cx, buffer)
    }
}

impl Write for AnyIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Custom(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write().poll_write_vectored(cx, slices)
    }
}

impl Connection for AnyIo {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(io) => io.connected(),
            Self::Custom(_) => Connected::new(),
        }
    }
}
