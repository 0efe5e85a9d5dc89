//! The version of HTTP that a client is going to speak.

use super::socket::ClientSocket;

/// The first bytes of every HTTP/2 connection.
///
/// # Source
/// RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The type of the first record of TLS, which begins no request of HTTP.
///
/// # Source
/// RFC 8446, section 5.1.
const TLS_HANDSHAKE: u8 = 22;

/// The version of HTTP that the first bytes of a connection show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientVersion {
    Http1,
    Http2,
    /// A handshake of TLS comes first.
    Tls,
    /// The bytes that have arrived are too few. The server finds the version when it reads the rest.
    Unknown,
}

impl ClientVersion {
    /// Waits for the first bytes of `socket`, and leaves them there. Returns `None` if the socket cannot show them.
    ///
    /// hyper-util reads them itself to find the version. The rest of the request is then a second read of hyper, for which it
    /// doubles its buffer: 8 KiB more for every open connection.
    pub(super) async fn of(socket: &ClientSocket) -> Option<Self> {
        let mut start = [0; PREFACE.len()];
        // The server sees the same error with its first read.
        let length = socket.peek(&mut start).await?.unwrap_or(0);
        Some(Self::of_start(&start[..length]))
    }

    fn of_start(start: &[u8]) -> Self {
        if start.first() == Some(&TLS_HANDSHAKE) {
            Self::Tls
        } else if start == PREFACE {
            Self::Http2
        } else if PREFACE.starts_with(start) {
            Self::Unknown
        } else {
            Self::Http1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_distinguishes_the_versions() {
        for (start, expected) in [
            (&PREFACE[..], ClientVersion::Http2),
            (b"POST /v1/messages HTTP/1", ClientVersion::Http1),
            (b"G", ClientVersion::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", ClientVersion::Unknown),
            (b"P", ClientVersion::Unknown),
            (b"\x16\x03\x01", ClientVersion::Tls),
            (b"\x16", ClientVersion::Tls),
            (b"", ClientVersion::Unknown),
        ] {
            assert_eq!(ClientVersion::of_start(start), expected, "{start:?}");
        }
    }
}
