//! The first twelve bytes of a frame, and the limits that they are checked against.

use super::FrameError;

/// The length of a prelude in bytes: two lengths and their checksum, four bytes each.
pub(crate) const PRELUDE_LEN: usize = 12;
/// The length of the checksum at the end of a frame, in bytes.
const TRAILER_LEN: usize = 4;

/// The largest sizes that a message may have.
///
/// The defaults are the maxima of AWS: 24 MiB of payload and 128 KiB of headers, as botocore enforces them.
/// No service sends as many as 128 headers. A decoder allocates memory only for bytes that have arrived, so
/// the length that a frame claims allocates nothing.
/// ```
/// use relay_stream::frame::{Decoder, Limits};
///
/// let decoder = Decoder::new().with_limits(Limits::new().with_frame(1 << 20));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest frame in bytes, checksums included. Default: 25,296,912 (24 MiB + 128 KiB + 16).
    pub frame: usize,
    /// The largest header block in bytes. Default: 131,072 (128 KiB).
    pub headers: usize,
    /// The largest number of headers. Default: 128.
    pub header_count: usize,
}

impl Limits {
    /// Creates the default limits.
    pub const fn new() -> Self {
        let (headers, payload) = (128 << 10, 24 << 20);
        Limits { frame: PRELUDE_LEN + headers + payload + TRAILER_LEN, headers, header_count: 128 }
    }

    /// Sets the largest frame in bytes, checksums included.
    pub const fn with_frame(self, frame: usize) -> Self {
        Limits { frame, ..self }
    }

    /// Sets the largest header block in bytes.
    pub const fn with_headers(self, headers: usize) -> Self {
        Limits { headers, ..self }
    }

    /// Sets the largest number of headers.
    pub const fn with_header_count(self, header_count: usize) -> Self {
        Limits { header_count, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// A checked prelude: its checksum is right, and its lengths are consistent and within the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// Reads and checks a prelude.
    #[inline]
    pub(crate) fn read(bytes: &[u8; PRELUDE_LEN], limits: &Limits) -> Result<Self, FrameError> {
        let [lengths @ .., c0, c1, c2, c3] = bytes;
        let [t0, t1, t2, t3, h0, h1, h2, h3] = *lengths;
        let total = u32::from_be_bytes([t0, t1, t2, t3]);
        let headers = u32::from_be_bytes([h0, h1, h2, h3]);
        let found = u32::from_be_bytes([*c0, *c1, *c2, *c3]);
        let computed = crc32fast::hash(lengths);
        if found != computed {
            return Err(FrameError::PreludeChecksum { found, computed });
        }
        let impossible = FrameError::Length { total, headers };
        let (Ok(total), Ok(headers)) = (usize::try_from(total), usize::try_from(headers)) else {
            return Err(impossible);
        };
        if total.checked_sub(PRELUDE_LEN + TRAILER_LEN).is_none_or(|rest| headers > rest) {
            return Err(impossible);
        }
        if total > limits.frame {
            return Err(FrameError::FrameTooLarge { len: total, limit: limits.frame });
        }
        if headers > limits.headers {
            return Err(FrameError::HeadersTooLarge { len: headers, limit: limits.headers });
        }
        Ok(Prelude { total, headers })
    }

    /// Returns the length of the whole frame, at least 16.
    pub(crate) fn total(self) -> usize {
        self.total
    }

    /// Returns the position at which the header block ends and the payload starts.
    pub(crate) fn payload_start(self) -> usize {
        PRELUDE_LEN + self.headers
    }

    /// Returns the position at which the payload ends and the message checksum starts.
    pub(crate) fn payload_end(self) -> usize {
        self.total - TRAILER_LEN
    }
}
