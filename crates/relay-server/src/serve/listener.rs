//! The sockets on which a relay accepts connections.

use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::peer::{BoundAddress, PeerAddress};
use super::socket::ClientSocket;
#[cfg(unix)]
use super::socket_file::SocketFile;
use super::tls::ListenerTls;

/// A socket on which [`serve`](crate::serve()) accepts connections: one of TCP, or a Unix socket.
///
/// A socket of tokio converts into it. [`bind`](crate::bind) and `bind_unix` open one.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    tls: Option<ListenerTls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(Unix),
}

#[cfg(unix)]
#[derive(Debug)]
struct Unix {
    file: Option<SocketFile>,
    socket: UnixListener,
}

#[cfg(unix)]
impl Drop for Unix {
    fn drop(&mut self) {
        // Before the socket is closed: no client finds a file without a listener.
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

impl Listener {
    /// Serves TLS on the socket. A plain request is then answered with 400.
    ///
    /// A listener without this call serves plain HTTP, whatever `server.tls` of the configuration is:
    /// [`ListenerTls::load`](crate::ListenerTls::load) reads the files of that setting.
    #[must_use]
    pub fn with_tls(mut self, tls: ListenerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Returns the certificate of the listener; `None` without TLS.
    pub(super) fn tls(&self) -> Option<&ListenerTls> {
        self.tls.as_ref()
    }

    /// Returns the address that the socket is bound to.
    ///
    /// # Errors
    /// The system's error, if the socket is not valid.
    pub fn local_addr(&self) -> io::Result<BoundAddress> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().map(Into::into),
            #[cfg(unix)]
            Socket::Unix(unix) => unix.socket.local_addr().map(|address| BoundAddress::of_unix(&address)),
        }
    }

    /// Returns the file of a Unix socket that is removed when the listener is dropped. `None` for other sockets, and if the
    /// listener removes no file.
    #[cfg(unix)]
    #[must_use]
    pub fn file(&self) -> Option<&SocketFile> {
        match &self.socket {
            Socket::Tcp(_) => None,
            Socket::Unix(unix) => unix.file.as_ref(),
        }
    }

    /// Removes the file of a Unix socket when the listener is dropped. The default for a socket that another program has
    /// opened is to keep the file. No effect on a socket of TCP.
    ///
    /// # Errors
    /// The system's error, if the socket has no file.
    #[cfg(unix)]
    pub fn removing_file(mut self) -> io::Result<Self> {
        if let Socket::Unix(unix) = &mut self.socket
            && let Some(path) = unix.socket.local_addr()?.as_pathname()
        {
            unix.file = Some(SocketFile::of(path)?);
        }
        Ok(self)
    }

    /// Creates a listener that removes `file` when it is dropped.
    #[cfg(unix)]
    pub(super) fn with_file(socket: UnixListener, file: SocketFile) -> Self {
        Self { socket: Socket::Unix(Unix { file: Some(file), socket }), tls: None }
    }

    /// Accepts the next connection. Dropping the future loses none.
    pub(super) async fn accept(&self) -> io::Result<(ClientSocket, PeerAddress)> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((ClientSocket::Tcp(stream), PeerAddress::Tcp(peer)))
            }
            #[cfg(unix)]
            Socket::Unix(unix) => {
                let (stream, _) = unix.socket.accept().await?;
                Ok((ClientSocket::Unix(stream), PeerAddress::Unix))
            }
        }
    }
}

impl Listener {
    /// Accepts a connection that waits in the queue of the system. The error is `WouldBlock` if there is none.
    pub(super) fn accept_now(&self) -> io::Result<(ClientSocket, PeerAddress)> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = accept_now(&SockRef::from(socket))?;
                let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
                Ok((ClientSocket::Tcp(TcpStream::from_std(stream.into())?), PeerAddress::Tcp(peer)))
            }
            #[cfg(unix)]
            Socket::Unix(unix) => {
                let (stream, _) = accept_now(&SockRef::from(&unix.socket))?;
                let stream = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(stream));
                Ok((ClientSocket::Unix(UnixStream::from_std(stream)?), PeerAddress::Unix))
            }
        }
    }
}

/// Accepts a connection without tokio, which may not know yet that one has arrived.
fn accept_now(socket: &SockRef<'_>) -> io::Result<(socket2::Socket, socket2::SockAddr)> {
    let (stream, peer) = socket.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self { socket: Socket::Tcp(socket), tls: None }
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Self { socket: Socket::Unix(Unix { file: None, socket }), tls: None }
    }
}

#[cfg(unix)]
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(unix) => unix.socket.as_fd(),
        }
    }
}
