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
use crate::client_certificate::ClientCertificate;

/// A connection that is about to be opened.
pub(super) struct Opening<'a> {
    pub(super) activity: &'a Arc<Activity>,
    pub(super) settings: ServeSettings,
    /// The certificate of the listener; `None` without TLS.
    pub(super) tls: Option<&'a ListenerTls>,
    pub(super) peer: PeerAddress,
}

/// A connection that is open.
pub(super) struct Opened {
    pub(super) stream: ClientStream,
    pub(super) version: ClientVersion,
    /// The certificate of the client, if the listener demands one.
    pub(super) certificate: Option<ClientCertificate>,
}

impl Opening<'_> {
    /// Waits for the first bytes of `socket`, and completes the handshake of TLS. Returns `None` if the client is refused.
    pub(super) async fn open(&self, socket: ClientSocket) -> Option<Opened> {
        let version = ClientVersion::of(&socket).await;
        let timed = TimedSocket::new(socket, Arc::clone(self.activity), self.settings.write_timeout);
        let mut opened = match (self.tls, version) {
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
            (None, version) => Opened {
                stream: timed.into(),
                version: version.unwrap_or(ClientVersion::Unknown),
                certificate: None,
            },
        };
        if !self.settings.enable_http2 {
            opened.version = ClientVersion::Http1;
        }
        Some(opened)
    }

    async fn secure(&self, tls: &ListenerTls, socket: TimedSocket) -> Option<Opened> {
        let stream = tls::accept(tls, socket, self.activity, self.peer, self.settings.enable_http2).await?;
        let (version, certificate) = (stream.version(), stream.certificate());
        Some(Opened { stream: stream.into(), version, certificate })
    }
}
