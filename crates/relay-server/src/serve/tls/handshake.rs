//! The handshake of a client.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::listener_tls::ListenerTls;
use super::stream::TlsClient;
use crate::serve::activity::Activity;
use crate::serve::peer::PeerAddress;
use crate::serve::timed_socket::TimedSocket;

/// The largest number of bytes that TLS keeps of a response that the client does not accept: two records.
const BUFFER: usize = 32 * 1024;

/// Completes the handshake of a client, by the certificate that the listener has now. Returns `None` if it fails: the client has
/// then received the alert, and the reason is in the log.
pub(in crate::serve) async fn accept(
    tls: &ListenerTls,
    socket: TimedSocket,
    activity: &Arc<Activity>,
    peer: PeerAddress,
    enable_http2: bool,
) -> Option<TlsClient> {
    let acceptor = TlsAcceptor::from(tls.settings(enable_http2));
    let accepting = acceptor.accept_with(socket, |session| session.set_buffer_limit(Some(BUFFER)));
    match tls.turns().run(accepting.into_fallible()).await {
        Ok(stream) => Some(TlsClient::new(stream, Arc::clone(activity))),
        Err((error, mut socket)) => {
            tls.log().failed(peer, &error);
            // The bytes that the client has sent meanwhile would cause a reset, which would destroy the alert.
            activity.set_unread();
            let _ = socket.shutdown().await;
            None
        }
    }
}
