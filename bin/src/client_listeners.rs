//! The listeners for clients: addresses with or without TLS, and Unix sockets.

use std::io;
use std::time::SystemTime;

use relay_config::{ServerConfig, UnixSocket};
use relay_server::{BoundAddress, Listener, ListenerTls, ListenerTlsError};

use crate::listen::{self, ListenError};
use crate::sockets::{Service, Sockets};

/// Reads the certificate of the configuration. `None` if it has none.
pub(crate) fn load_tls(server: &ServerConfig) -> Result<Option<ListenerTls>, ListenerTlsError> {
    server.tls.as_ref().map(ListenerTls::load).transpose()
}

/// Returns the warnings about a certificate at this time.
pub(crate) fn tls_warnings(tls: Option<&ListenerTls>) -> Vec<String> {
    tls.map(|tls| tls.warnings(SystemTime::now())).unwrap_or_default()
}

/// Logs the warnings about a certificate at this time.
pub(crate) fn log_tls_warnings(tls: Option<&ListenerTls>) {
    tls_warnings(tls).iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Opens every address and every Unix socket, or uses the inherited ones. The addresses serve `tls`; a Unix socket serves plain
/// HTTP, since no other machine can read it.
pub(crate) async fn bind(
    server: &ServerConfig,
    tls: Option<&ListenerTls>,
    sockets: &mut Sockets,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = listen::bind(&server.listen, Service::Relay, sockets).await?;
    for socket in &server.unix_sockets {
        let place = format!("unix:{}", socket.path.display());
        if let Some(inherited) = sockets.take(Service::Relay, &place)? {
            #[cfg(unix)]
            set_mode(&inherited, socket)?;
            listeners.push(inherited);
        } else {
            let listener = bind_unix(socket)?;
            sockets.opened(Service::Relay, place, &listener);
            listeners.push(listener);
        }
    }
    listeners.extend(sockets.take_given(Service::Relay)?);
    let is_tcp = |listener: &Listener| listener.local_addr().is_ok_and(|address| address.tcp().is_some());
    let with_tls = |listener: Listener| match tls {
        Some(tls) if is_tcp(&listener) => listener.with_tls(tls.clone()),
        _ => listener,
    };
    Ok(listeners.into_iter().map(with_tls).collect())
}

#[cfg(unix)]
fn bind_unix(socket: &UnixSocket) -> Result<Listener, ListenError> {
    relay_server::bind_unix(&socket.path, socket.mode)
        .map_err(|source| ListenError::of_unix(socket.clone(), source, Service::Relay.setting()))
}

/// Gives the file of an inherited socket the permissions of the configuration, unless a service manager has made it.
#[cfg(unix)]
fn set_mode(listener: &Listener, socket: &UnixSocket) -> Result<(), ListenError> {
    use std::os::unix::fs::PermissionsExt;

    let Some(file) = listener.file() else { return Ok(()) };
    let permissions = std::fs::Permissions::from_mode(socket.mode);
    std::fs::set_permissions(file.path(), permissions)
        .map_err(|source| ListenError::of_unix(socket.clone(), source, Service::Relay.setting()))
}

#[cfg(not(unix))]
fn bind_unix(socket: &UnixSocket) -> Result<Listener, ListenError> {
    let source = std::io::ErrorKind::Unsupported.into();
    Err(ListenError::of_unix(socket.clone(), source, Service::Relay.setting()))
}

/// The addresses at which clients reach the relay.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    bound: Vec<BoundAddress>,
    has_tls: bool,
}

impl Addresses {
    /// Reads the addresses of the listeners, whose ports the system may have chosen.
    pub(crate) fn of(listeners: &[Listener], has_tls: bool) -> io::Result<Self> {
        let bound = listeners.iter().map(Listener::local_addr).collect::<io::Result<_>>()?;
        Ok(Self { bound, has_tls })
    }

    /// Returns the first URL at which a client on this machine reaches the relay. `None` if it listens on Unix sockets only.
    pub(crate) fn url(&self) -> Option<String> {
        let address = self.bound.iter().find_map(BoundAddress::tcp)?;
        Some(format!("{}://{}", self.scheme(), listen::as_destination(address)))
    }

    /// Returns the addresses as the log shows them.
    pub(crate) fn shown(&self) -> impl Iterator<Item = String> {
        self.bound.iter().map(|address| match address.tcp() {
            Some(address) => format!("{}://{address}", self.scheme()),
            None => address.to_string(),
        })
    }

    fn scheme(&self) -> &'static str {
        if self.has_tls { "https" } else { "http" }
    }
}
