//! The bytes of a client, with or without TLS.

use super::io_enum::io_enum;
use super::timed_socket::TimedSocket;
use super::tls::TlsClient;

/// The bytes of a client, without TLS around them.
#[derive(Debug)]
pub(super) enum ClientStream {
    Plain(TimedSocket),
    Tls(TlsClient),
}

impl From<TimedSocket> for ClientStream {
    fn from(socket: TimedSocket) -> Self {
        Self::Plain(socket)
    }
}

impl From<TlsClient> for ClientStream {
    fn from(stream: TlsClient) -> Self {
        Self::Tls(stream)
    }
}

io_enum!(ClientStream: Plain, Tls);
