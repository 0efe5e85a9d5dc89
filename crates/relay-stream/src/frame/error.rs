//! What can be wrong with a frame.

/// Why bytes are not a valid Event Stream message.
///
/// Always final: the format has no mark to find the next message by, so nothing after the fault can be trusted.
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
    /// The two lengths of the prelude contradict each other, or the smallest frame.
    #[error("a frame of {total} bytes cannot have {headers} bytes of headers")]
    Length {
        /// Length of the frame, as it says.
        total: u32,
        /// Length of its header block, as it says.
        headers: u32,
    },
    /// The frame is larger than [`Limits::frame`](super::Limits::frame).
    #[error("a frame of {len} bytes exceeds the limit of {limit}")]
    FrameTooLarge {
        /// Length of the frame, as it says.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The header block is larger than [`Limits::headers`](super::Limits::headers).
    #[error("a header block of {len} bytes exceeds the limit of {limit}")]
    HeadersTooLarge {
        /// Length of the header block, as the frame says.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// There are more headers than [`Limits::header_count`](super::Limits::header_count).
    #[error("a message has more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A header could not be read.
    #[error("header {index} is malformed")]
    Header {
        /// Its position in the header block.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: HeaderError,
    },
    /// The stream ended within a frame.
    #[error("the stream ended {held} bytes into a frame")]
    Truncated {
        /// Bytes of the frame that had arrived.
        held: usize,
    },
}

/// Why a header could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The header block ends within the header.
    #[error("the header block ends within it")]
    Truncated,
    /// The name is empty.
    #[error("its name is empty")]
    EmptyName,
    /// The name is not UTF-8.
    #[error("its name is not UTF-8")]
    Name,
    /// The type is none of the ten.
    #[error("its type {0} is unknown")]
    Type(u8),
    /// The value should be a string, and is not UTF-8.
    #[error("its string is not UTF-8")]
    String,
}
