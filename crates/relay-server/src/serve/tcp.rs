//! Opens listening sockets of TCP.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// The backlog of connections to accept. With the usual 128, a burst of a thousand clients runs into SYN retries of one
/// second each.
pub(super) const BACKLOG: u32 = 4096;

/// Binds a listener to `address`, with a backlog for bursts of connections.
///
/// `[::]` accepts IPv4 clients as well, on every system that can do this; [`bind_ipv6_only`] does not.
///
/// # Errors
/// The system's error: the address is in use, does not belong to this machine, or is not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // OpenBSD has no sockets for both. The default of the system then remains.
        let _ = socket.set_only_v6(false);
    }
    listen(&socket, address)?;
    TcpListener::from_std(socket.into())
}

/// Binds a listener to `address` that accepts no IPv4 clients, so that another listener can have the same port of IPv4.
///
/// # Errors
/// As those of [`bind`].
pub fn bind_ipv6_only(address: SocketAddrV6) -> io::Result<TcpListener> {
    let address = address.into();
    let socket = open(address)?;
    socket.set_only_v6(true)?;
    listen(&socket, address)?;
    TcpListener::from_std(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    // A restart must not wait until connections of the last process have timed out. On Windows the option would let
    // two processes share a port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_wildcard_of_ipv6_accepts_ipv4_clients_unless_it_is_for_ipv6_only() {
        let Ok(both) = bind((Ipv6Addr::UNSPECIFIED, 0).into()) else { return };
        let port = both.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        drop(both);

        let ipv4 = bind((Ipv4Addr::UNSPECIFIED, port).into()).unwrap();
        let taken = bind((Ipv6Addr::UNSPECIFIED, port).into()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let ipv6 = bind_ipv6_only(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0)).unwrap();
        for (listener, ip) in
            [(ipv4, Ipv4Addr::LOCALHOST.into()), (ipv6, std::net::IpAddr::from(Ipv6Addr::LOCALHOST))]
        {
            let (client, accepted) = tokio::join!(TcpStream::connect((ip, port)), listener.accept());
            assert_eq!(client.unwrap().local_addr().unwrap(), accepted.unwrap().1);
        }
    }
}
