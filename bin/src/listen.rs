//! Listening sockets on the configured addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use relay_config::{ListenAddress, UnixSocket};
use tokio::net::{TcpListener, lookup_host};

/// An error while binding a listening socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on {address}: the name has no address")]
    Resolve {
        address: ListenAddress,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot listen on {address}: the address is in use, perhaps by another cc-relay (`cc-relay status` shows it); \
         stop that program, or choose another port with {setting}"
    )]
    InUse { address: ListenAddress, setting: &'static str },
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 often need privileges, choose another with \
         {setting}"
    )]
    NotPermitted { address: ListenAddress, setting: &'static str },
    #[error(
        "cannot listen on {address}: this machine does not have the address; use 127.0.0.1 for clients on this \
         machine, 0.0.0.0 for all its addresses"
    )]
    NotHere { address: ListenAddress },
    #[error("cannot listen on {address}")]
    Bind {
        address: ListenAddress,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot listen on {socket}: a process listens there, perhaps another cc-relay; stop it, or choose another path with \
         {setting}"
    )]
    UnixInUse { socket: UnixSocket, setting: &'static str },
    #[error(
        "cannot listen on {socket}: the file exists and is not a socket; remove it, or choose another path with {setting}"
    )]
    NoSocket { socket: UnixSocket, setting: &'static str },
    #[error(
        "cannot listen on {socket}: its directory does not exist; create it, or choose another path with {setting}"
    )]
    NoDirectory { socket: UnixSocket, setting: &'static str },
    #[error("cannot listen on {socket}")]
    BindUnix {
        socket: UnixSocket,
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Returns the error of a Unix socket.
    pub(crate) fn of_unix(socket: UnixSocket, source: io::Error, setting: &'static str) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::UnixInUse { socket, setting },
            io::ErrorKind::AlreadyExists => Self::NoSocket { socket, setting },
            io::ErrorKind::NotFound => Self::NoDirectory { socket, setting },
            _ => Self::BindUnix { socket, source },
        }
    }
}

/// Binds every address. A repeated address is bound once. `setting` is the way to choose another one.
pub(crate) async fn bind(
    addresses: &[ListenAddress],
    setting: &'static str,
) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    let mut bound = BTreeSet::new();
    for address in addresses {
        bind_one(address, setting, &mut bound, &mut listeners).await?;
    }
    Ok(listeners)
}

/// Binds every socket address that `address` resolves to. If there are several (`localhost` has one for IPv4 and one
/// for IPv6), addresses that the machine does not have are skipped, as long as one remains.
async fn bind_one(
    address: &ListenAddress,
    setting: &'static str,
    bound: &mut BTreeSet<SocketAddr>,
    listeners: &mut Vec<TcpListener>,
) -> Result<(), ListenError> {
    let resolved = lookup_host((address.host.as_str(), address.port)).await;
    let resolved: Vec<_> =
        resolved.map_err(|source| ListenError::Resolve { address: address.clone(), source })?.collect();
    let mut missing = None;
    let mut any = false;
    for socket in resolved {
        if socket.port() != 0 && !bound.insert(socket) {
            any = true;
            continue;
        }
        match relay_server::bind(socket) {
            Ok(listener) => {
                any = true;
                listeners.push(listener);
            }
            Err(source) => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    return Err(ListenError::InUse { address: address.clone(), setting });
                }
                io::ErrorKind::PermissionDenied => {
                    return Err(ListenError::NotPermitted { address: address.clone(), setting });
                }
                io::ErrorKind::AddrNotAvailable => {
                    missing = Some(ListenError::NotHere { address: address.clone() });
                }
                _ => missing = Some(ListenError::Bind { address: address.clone(), source }),
            },
        }
    }
    match missing {
        Some(error) if !any => Err(error),
        _ => Ok(()),
    }
}

/// The address at which a client on this machine reaches a listener on `address`.
pub(crate) fn as_destination(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
