//! A connection with TLS, and its orderly end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use relay_transport::certificate_subject;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::client_certificate::ClientCertificate;
use crate::serve::activity::Activity;
use crate::serve::client_version::ClientVersion;
use crate::serve::timed_socket::TimedSocket;

/// A connection whose handshake is complete.
///
/// A shutdown sends close_notify. A connection that is dropped without a request in progress sends it too, so that the client does
/// not take the end for an attack. If a response is in progress, its client must notice that it is not complete, and gets none.
#[derive(Debug)]
pub(in crate::serve) struct TlsClient {
    // In the heap: most connections of most relays have no TLS.
    stream: Box<TlsStream<TimedSocket>>,
    activity: Arc<Activity>,
}

impl TlsClient {
    pub(super) fn new(stream: TlsStream<TimedSocket>, activity: Arc<Activity>) -> Self {
        Self { stream: Box::new(stream), activity }
    }

    /// Returns the version that ALPN has chosen. A client without ALPN shows it by its first bytes.
    pub(in crate::serve) fn version(&self) -> ClientVersion {
        match self.stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => ClientVersion::Http2,
            Some(_) => ClientVersion::Http1,
            None => ClientVersion::Unknown,
        }
    }

    /// Returns the client's certificate, if the listener has demanded one and it has a subject.
    pub(in crate::serve) fn certificate(&self) -> Option<ClientCertificate> {
        let chain = self.stream.get_ref().1.peer_certificates()?;
        certificate_subject(chain.first()?).map(ClientCertificate::new)
    }
}

impl Drop for TlsClient {
    fn drop(&mut self) {
        if !self.activity.is_idle() || self.activity.needs_reset() {
            return;
        }
        let (socket, session) = self.stream.get_mut();
        session.send_close_notify();
        let mut bytes = Vec::new();
        // Neither waits: the client has left, or its queue is full, and then it gets no alert.
        if session.write_tls(&mut bytes).is_ok() && !bytes.is_empty() {
            let _ = socket.try_write(&bytes);
        }
    }
}

impl AsyncRead for TlsClient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsClient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
