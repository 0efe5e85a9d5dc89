//! The listeners for clients: addresses with or without TLS, and Unix sockets.

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

#[cfg(not(unix))]
fn bind_unix(socket: &UnixSocket) -> Result<Listener, ListenError> {
    let source = std::io::ErrorKind::Unsupported.into();
    Err(ListenError::of_unix(socket.clone(), source, Service::Relay.setting()))
}

/// Returns the URL at which a client on this machine reaches a listener at `address`. `None` for a Unix socket, which has none.
pub(crate) fn url(address: &BoundAddress, has_tls: bool) -> Option<String> {
    let scheme = if has_tls { "https" } else { "http" };
    Some(format!("{scheme}://{}", listen::as_destination(address.tcp()?)))
}

/// Returns the address as the log shows it.
pub(crate) fn shown(address: &BoundAddress, has_tls: bool) -> String {
    match address.tcp() {
        Some(address) => format!("{}://{address}", if has_tls { "https" } else { "http" }),
        None => address.to_string(),
    }
}
