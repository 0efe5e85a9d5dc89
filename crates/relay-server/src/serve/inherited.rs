//! Listening sockets that another process has opened.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::listener::Listener;

impl Listener {
    /// Uses a listening socket that another process has opened: TCP, or a Unix socket for streams. The file of a Unix socket is
    /// kept, unless [`removing_file`](Self::removing_file) is called. Requires a runtime of tokio.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for any other descriptor; the message names the fault. Otherwise the system's error.
    pub fn from_fd(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(descriptor);
        let invalid = |text: &'static str| io::Error::new(ErrorKind::InvalidInput, text);
        let kind = socket.r#type().map_err(|_| invalid("it is not a socket"))?;
        if kind != Type::STREAM {
            return Err(invalid("it is a socket for datagrams, not one for connections"));
        }
        if !socket.is_listener()? {
            return Err(invalid("the socket does not listen"));
        }
        socket.set_nonblocking(true)?;
        match domain(&socket)? {
            Domain::IPV4 | Domain::IPV6 => Ok(TcpListener::from_std(socket.into())?.into()),
            Domain::UNIX => Ok(UnixListener::from_std(OwnedFd::from(socket).into())?.into()),
            _ => Err(invalid("the socket is neither one of TCP nor a Unix socket")),
        }
    }
}

fn domain(socket: &Socket) -> io::Result<Domain> {
    Ok(i32::from(socket.local_addr()?.family()).into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[tokio::test]
    async fn a_listening_socket_of_each_kind_is_used() {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::from_fd(socket.into()).unwrap();
        assert_eq!(listener.local_addr().unwrap().tcp(), Some(address));
        assert_eq!(listener.accept_now().unwrap_err().kind(), ErrorKind::WouldBlock);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relay.sock");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let listener = Listener::from_fd(socket.into()).unwrap();
        assert_eq!(listener.local_addr().unwrap().path(), Some(&*path));
        drop(listener);
        assert!(path.exists(), "the file belongs to the process that has made it");
    }

    #[tokio::test]
    async fn other_descriptors_are_refused() {
        #[track_caller]
        fn check(descriptor: impl Into<OwnedFd>, expected: &str) {
            let error = Listener::from_fd(descriptor.into()).unwrap_err();
            assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::InvalidInput, expected));
        }
        check(tempfile::tempfile().unwrap(), "it is not a socket");
        let datagrams = "it is a socket for datagrams, not one for connections";
        check(UdpSocket::bind(("127.0.0.1", 0)).unwrap(), datagrams);
        check(UnixDatagram::unbound().unwrap(), datagrams);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        check(connection, "the socket does not listen");
    }
}
