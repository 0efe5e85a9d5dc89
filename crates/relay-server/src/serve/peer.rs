//! The addresses of both ends of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The address of a client, as the log shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerAddress {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// A process on this machine. Clients of a Unix socket have no address of their own.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has these sockets"))]
    Unix,
}

impl PeerAddress {
    /// Returns the address of a client of TCP.
    pub(crate) fn tcp(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The address that a [`Listener`](crate::Listener) is bound to. It is shown as `127.0.0.1:8787` or as
/// `unix:/run/cc-relay.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundAddress {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// The path of a Unix socket. It is empty for a socket without a path.
    Unix(PathBuf),
}

impl BoundAddress {
    /// Returns the address if it is one of TCP.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Returns the path if the address is that of a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Returns `true` if only this machine can reach the address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(unix)]
impl BoundAddress {
    /// The address of a Unix socket.
    pub(super) fn of_unix(address: &tokio::net::unix::SocketAddr) -> Self {
        Self::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned())
    }
}

impl From<SocketAddr> for BoundAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}
