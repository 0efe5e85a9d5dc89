//! The socket of a client, of TCP or Unix.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::io_enum::io_enum;

/// The interval of TCP keep-alive probes.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The unsent bytes of a client that the system keeps. A larger queue hides for longer that a client reads slowly, or
/// not at all.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;

/// The socket of a client.
#[derive(Debug)]
pub(super) enum ClientSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl ClientSocket {
    /// Sets the options of a socket that is about to be served.
    pub(super) fn set_options(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => set_tcp_options(stream),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }

    /// Waits for the first bytes, copies them to `start` and leaves them in the socket. Returns their number. `None` if the
    /// socket cannot do this: tokio's Unix sockets cannot.
    pub(super) async fn peek(&self, start: &mut [u8]) -> Option<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Some(stream.peek(start).await),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Writes what the system accepts at once. No task is woken later.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// Makes the end of the connection a reset. A Unix socket has none: its client sees the end of the stream.
    pub(super) fn reset_at_end(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }
}

fn set_tcp_options(stream: &TcpStream) -> io::Result<()> {
    // Otherwise an event waits up to 40 ms for the acknowledgement of the one before (Nagle, delayed ACK).
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT) {
        // Some sandboxes do not have the option. The connection works without it.
        tracing::debug!(%error, "cannot limit the unsent bytes of a connection");
    }
    // Detects a client that vanished without closing its connection.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

io_enum!(
    ClientSocket: Tcp,
    #[cfg(unix)]
    Unix
);
