//! The first twelve bytes of a frame, and what they may say.

use super::FrameError;

/// Two lengths and their checksum.
pub(crate) const PRELUDE_LEN: usize = 12;
/// The checksum at the end of a frame.
const TRAILER_LEN: usize = 4;

/// How large a message may be.
///
/// The defaults are the largest that AWS allows (24 MiB of payload, 128 KiB of headers, as botocore enforces them) and
/// a number of headers that no service comes near. Only bytes that have arrived take memory, whatever a frame claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole frame, checksums included.
    pub frame: usize,
    /// Bytes of its header block.
    pub headers: usize,
    /// Number of its headers.
    pub header_count: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let (headers, payload) = (128 << 10, 24 << 20);
        Limits { frame: PRELUDE_LEN + headers + payload + TRAILER_LEN, headers, header_count: 128 }
    }
}

/// A prelude whose checksum is right and whose lengths are possible and allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
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

    /// Length of the whole frame, at least 16.
    pub(crate) fn total(self) -> usize {
        self.total
    }

    /// Where the header block ends and the payload begins.
    pub(crate) fn payload_start(self) -> usize {
        PRELUDE_LEN + self.headers
    }

    /// Where the payload ends and the message checksum begins.
    pub(crate) fn payload_end(self) -> usize {
        self.total - TRAILER_LEN
    }
}
