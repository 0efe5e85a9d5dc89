//! Listening sockets on the configured addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use relay_config::{ListenAddress, UnixSocket};
use relay_server::Listener;
use tokio::net::{TcpListener, lookup_host};

use crate::sockets::{InheritedError, Service, Sockets};

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
    #[error(
        "cannot listen on {socket}: not permitted; its directory is not writable, or the file is that of another user; choose \
         another path with {setting}"
    )]
    UnixNotPermitted { socket: UnixSocket, setting: &'static str },
    #[error("cannot listen on {socket}: its file system is read-only; choose another path with {setting}")]
    ReadOnly { socket: UnixSocket, setting: &'static str },
    #[error(transparent)]
    Inherited(#[from] InheritedError),
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
            io::ErrorKind::PermissionDenied => Self::UnixNotPermitted { socket, setting },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { socket, setting },
            _ => Self::BindUnix { socket, source },
        }
    }
}

/// Opens a listener of `service` on every address. A repeated address is opened once.
///
/// A socket that was inherited for an address is used. If an IPv4 address has the same port as an IPv6 address, the latter is for
/// IPv6 only; otherwise `[::]` accepts clients of both.
pub(crate) async fn bind(
    addresses: &[ListenAddress],
    service: Service,
    sockets: &mut Sockets,
) -> Result<Vec<Listener>, ListenError> {
    let mut resolved = Vec::new();
    for address in addresses {
        let found = lookup_host((address.host.as_str(), address.port)).await;
        let found = found.map_err(|source| ListenError::Resolve { address: address.clone(), source })?;
        resolved.push((address, found.collect::<Vec<_>>()));
    }
    let all = resolved.iter().flat_map(|(_, found)| found);
    let ipv4_ports = all.filter(|found| found.is_ipv4()).map(SocketAddr::port).collect();
    let mut binding = Binding { service, sockets, ipv4_ports, bound: BTreeSet::new(), listeners: Vec::new() };
    for (address, found) in resolved {
        binding.bind(address, found)?;
    }
    Ok(binding.listeners)
}

/// The listeners of a service, while they are opened.
struct Binding<'a> {
    service: Service,
    sockets: &'a mut Sockets,
    ipv4_ports: BTreeSet<u16>,
    bound: BTreeSet<SocketAddr>,
    listeners: Vec<Listener>,
}

impl Binding<'_> {
    /// Opens a listener on every socket address that `address` resolves to. If there are several (`localhost` has one for IPv4 and
    /// one for IPv6), addresses that the machine does not have are skipped, as long as one remains.
    fn bind(&mut self, address: &ListenAddress, resolved: Vec<SocketAddr>) -> Result<(), ListenError> {
        let setting = self.service.setting();
        let mut missing = None;
        let mut any = false;
        for socket in resolved {
            if socket.port() != 0 && !self.bound.insert(socket) {
                any = true;
                continue;
            }
            if let Some(inherited) = self.sockets.take(self.service, &socket.to_string())? {
                any = true;
                self.listeners.push(inherited);
                continue;
            }
            match self.open(socket) {
                Ok(listener) => {
                    any = true;
                    let listener = listener.into();
                    self.sockets.opened(self.service, socket.to_string(), &listener);
                    self.listeners.push(listener);
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

    fn open(&self, address: SocketAddr) -> io::Result<TcpListener> {
        match address {
            SocketAddr::V6(address) if self.ipv4_ports.contains(&address.port()) => {
                relay_server::bind_ipv6_only(address)
            }
            address => relay_server::bind(address),
        }
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
