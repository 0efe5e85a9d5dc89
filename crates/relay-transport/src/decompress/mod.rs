//! Decompression of requests and responses.
//!
//! The relay offers no encoding to upstreams, but Google's front end compresses errors all the same, and private gateways
//! compress anything. Responses are decoded as they arrive, since the relay has to read them and the client may not accept
//! the encoding. A request is decoded whole, up to a limit.
//!
//! Without the feature `compression`, no coding is known: a compressed response is returned as it is.

#[cfg(not(feature = "compression"))]
mod absent;
#[cfg(feature = "compression")]
mod coding;
#[cfg(feature = "compression")]
mod decoder;
#[cfg(feature = "compression")]
mod reader;
#[cfg(feature = "compression")]
mod source;

use std::io;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

#[cfg(not(feature = "compression"))]
pub use self::absent::{ContentCoding, decompress};
#[cfg(feature = "compression")]
pub use self::{coding::ContentCoding, decoder::decompress};

impl ContentCoding {
    /// Returns the coding that the `content-encoding` of a body names, or `None` for `identity` and for no header.
    ///
    /// # Errors
    /// The names in the header, if one of them is unknown or if there are several.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let names: Vec<_> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        match &names[..] {
            [] => Ok(None),
            [name] => Self::from_name(name.as_bytes()).map(Some).ok_or_else(|| name.clone()),
            _ => Err(names.join(", ")),
        }
    }
}

/// An error while decoding a complete body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The decoded body is larger than permitted.
    #[error("the decoded body is larger than {limit} bytes")]
    TooLarge {
        /// The largest size, in bytes.
        limit: usize,
    },
    /// The caller did not permit the output to grow.
    #[error("the decoded body may not grow")]
    Refused,
    /// The body has more gzip members or zstd frames than its decoded size explains.
    #[error("the body has too many members for its decoded size")]
    TooManyMembers,
    /// The body is not in the coding that its header names, or it is truncated.
    #[error("the body cannot be decoded")]
    Malformed(#[source] io::Error),
}
