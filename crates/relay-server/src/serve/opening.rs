//! The start of a connection: TLS if the listener has it, and the version of HTTP.

use std::sync::Arc;

use super::activity::Activity;
use super::client_stream::ClientStream;
use super::client_version::ClientVersion;
use super::peer::PeerAddress;
use super::settings::ServeSettings;
use super::socket::ClientSocket;
use super::timed_socket::TimedSocket;
use super::tls::{self, ListenerTls};

/// A connection that is about to be opened.
pub(super) struct Opening<'a> {
    pub(super) activity: &'a Arc<Activity>,
    pub(super) settings: ServeSettings,
    /// The certificate of the listener; `None` without TLS.
    pub(super) tls: Option<&'a ListenerTls>,
    pub(super) peer: PeerAddress,
}

impl Opening<'_> {
    /// Waits for the first bytes of `socket`, and completes the handshake of TLS. Returns `None` if the client is refused.
    pub(super) async fn open(&self, socket: ClientSocket) -> Option<(ClientStream, ClientVersion)> {
        let version = ClientVersion::of(&socket).await;
        let timed = TimedSocket::new(socket, Arc::clone(self.activity), self.settings.write_timeout);
        let (stream, version) = match (self.tls, version) {
            (Some(tls), None | Some(ClientVersion::Tls)) => self.secure(tls, timed).await?,
            (Some(tls), Some(_)) => {
                tls.log_plain(self.peer);
                tls::refuse(timed, self.activity).await;
                return None;
            }
            (None, Some(ClientVersion::Tls)) => {
                let peer = self.peer;
                tracing::debug!(%peer, "closed a connection: the client speaks TLS, and server.tls is not set");
                return None;
            }
            (None, version) => (timed.into(), version.unwrap_or(ClientVersion::Unknown)),
        };
        let version = if self.settings.enable_http2 { version } else { ClientVersion::Http1 };
        Some((stream, version))
    }

    async fn secure(&self, tls: &ListenerTls, socket: TimedSocket) -> Option<(ClientStream, ClientVersion)> {
        let stream = tls::accept(tls, socket, self.activity, self.peer, self.settings.enable_http2).await?;
        let version = stream.version();
        Some((stream.into(), version))
    }
}
