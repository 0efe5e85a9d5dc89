//! The listeners for clients: addresses with or without TLS, and Unix sockets.

use std::time::SystemTime;

use relay_config::{ServerConfig, UnixSocket};
use relay_server::{BoundAddress, Listener, ListenerTls, ListenerTlsError};

use crate::listen::{self, ListenError};

/// The way to choose other addresses.
const SETTING: &str = "--listen or server.listen";

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

/// Binds every address and every Unix socket. The addresses serve `tls`; a Unix socket serves plain HTTP, since no other machine
/// can read it.
pub(crate) async fn bind(
    server: &ServerConfig,
    tls: Option<&ListenerTls>,
) -> Result<Vec<Listener>, ListenError> {
    let addresses = listen::bind(&server.listen, SETTING).await?;
    let with_tls = |listener: Listener| match tls {
        Some(tls) => listener.with_tls(tls.clone()),
        None => listener,
    };
    let mut listeners: Vec<_> = addresses.into_iter().map(|address| with_tls(address.into())).collect();
    for socket in &server.unix_sockets {
        listeners.push(bind_unix(socket)?);
    }
    Ok(listeners)
}

#[cfg(unix)]
fn bind_unix(socket: &UnixSocket) -> Result<Listener, ListenError> {
    relay_server::bind_unix(&socket.path, socket.mode)
        .map_err(|source| ListenError::of_unix(socket.clone(), source, SETTING))
}

#[cfg(not(unix))]
fn bind_unix(socket: &UnixSocket) -> Result<Listener, ListenError> {
    let source = std::io::ErrorKind::Unsupported.into();
    Err(ListenError::of_unix(socket.clone(), source, SETTING))
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
