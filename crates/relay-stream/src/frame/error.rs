//! The errors of decoding a frame.

/// An error in the framing of an Event Stream message.
///
/// Every error is final. The format has no marker at which a decoder could find the next message, so no byte
/// after the fault can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Bytes 8..12 are not the CRC-32 of bytes 0..8.
    #[error("prelude checksum {found:#010x} does not match computed {computed:#010x}")]
    PreludeChecksum {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the bytes before it.
        computed: u32,
    },
    /// The last four bytes are not the CRC-32 of all bytes before them.
    #[error("message checksum {found:#010x} does not match computed {computed:#010x}")]
    MessageChecksum {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the bytes before it.
        computed: u32,
    },
    /// The two lengths of the prelude contradict each other, or the frame is shorter than its prelude and
    /// checksum.
    #[error("a frame of {total} bytes cannot have {headers} bytes of headers")]
    Length {
        /// The length of the frame in bytes, from its prelude.
        total: u32,
        /// The length of the header block in bytes, from the prelude.
        headers: u32,
    },
    /// The frame is larger than [`Limits::frame`](super::Limits::frame).
    #[error("a frame of {len} bytes exceeds the limit of {limit}")]
    FrameTooLarge {
        /// The length of the frame in bytes, from its prelude.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The header block is larger than [`Limits::headers`](super::Limits::headers).
    #[error("a header block of {len} bytes exceeds the limit of {limit}")]
    HeadersTooLarge {
        /// The length of the header block in bytes, from the prelude.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The message has more headers than [`Limits::header_count`](super::Limits::header_count).
    #[error("a message has more than {limit} headers")]
    TooManyHeaders {
        /// The largest number of headers.
        limit: usize,
    },
    /// A header cannot be read.
    #[error("header {index} is malformed")]
    Header {
        /// The position of the header in the header block, from 0.
        index: usize,
        /// The fault of the header.
        #[source]
        source: HeaderError,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended {held} bytes into a frame")]
    Truncated {
        /// The number of bytes of the frame that have arrived.
        held: usize,
    },
}

/// The fault of a header that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header block ends inside the header.
    #[error("the header block ends inside the header")]
    Truncated,
    /// The name is empty.
    #[error("the name is empty")]
    EmptyName,
    /// The name is not UTF-8.
    #[error("the name is not UTF-8")]
    Name,
    /// The type is none of the ten types of the format.
    #[error("the type {0} is unknown")]
    Type(u8),
    /// The value of type string is not UTF-8.
    #[error("the value is not UTF-8")]
    String,
}
