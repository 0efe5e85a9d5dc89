//! Listening sockets.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::Result;

/// The length of the queue of connections that wait to be accepted. tokio's own default of 128 overflows if 1000 clients
/// connect at once, and each of them then waits a second for its next SYN.
const BACKLOG: u32 = 4096;

/// Listens on `address`.
/// # Errors
/// If the address is in use.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?)
}

/// Returns an address of this machine on which nothing listens.
/// # Errors
/// If the system has no free port.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
