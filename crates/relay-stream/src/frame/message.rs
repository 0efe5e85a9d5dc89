//! A complete message, owned or borrowed.

use bytes::Bytes;

use super::header::{self, RawHeader, RawHeaders};
use super::{FrameError, HeaderValue, Headers, Limits, PRELUDE_LEN, Prelude};

/// The longest header block that is remembered, in bytes. Those of Bedrock have less than a hundred.
const KNOWN_HEADERS: usize = 256;

/// A message: one frame whose checksums and headers have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    frame: Bytes,
    payload_start: usize,
}

/// A message that borrows its frame. [`Decoder::decode_slice`](super::Decoder::decode_slice) and
/// [`Message::as_borrowed`] return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl Message {
    /// Creates a message from a `frame` that [`MessageRef::check`] has accepted for the same prelude.
    pub(crate) fn new(frame: Bytes, prelude: Prelude) -> Self {
        Message { frame, payload_start: prelude.payload_start() }
    }

    /// Borrows the message.
    pub fn as_borrowed(&self) -> MessageRef<'_> {
        let payload = &self.frame[self.payload_start..self.frame.len() - 4];
        MessageRef { headers: &self.frame[PRELUDE_LEN..self.payload_start], payload }
    }

    /// Iterates over the headers, in their order in the frame.
    pub fn headers(&self) -> Headers<'_> {
        self.as_borrowed().headers()
    }

    /// Returns the value of the first header with that name.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'_>> {
        self.as_borrowed().header(name)
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        self.as_borrowed().payload()
    }

    /// Returns the payload as a slice of the frame, without a copy.
    pub fn into_payload(self) -> Bytes {
        self.frame.slice(self.payload_start..self.frame.len() - 4)
    }

    /// Returns the whole frame as received, checksums included.
    pub fn as_frame(&self) -> &Bytes {
        &self.frame
    }
}

impl<'a> MessageRef<'a> {
    /// Checks the message checksum and the headers of `frame`. Its length must be the one in `prelude`. `known` is the
    /// last header block that was accepted, unless it is long: the same one is accepted again.
    #[inline]
    pub(crate) fn check(
        frame: &'a [u8],
        prelude: Prelude,
        limits: &Limits,
        known: &mut Vec<u8>,
    ) -> Result<Self, FrameError> {
        let (signed, checksum) = frame.split_at(prelude.payload_end());
        let found = checksum.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        let computed = crc32fast::hash(signed);
        if found != computed {
            return Err(FrameError::MessageChecksum { found, computed });
        }
        let message = Self::new(frame, prelude);
        if message.headers != known {
            header::check(message.headers, limits.header_count)?;
            if message.headers.len() <= KNOWN_HEADERS {
                known.clear();
                known.extend_from_slice(message.headers);
            }
        }
        Ok(message)
    }

    /// Creates a message from a `frame` that [`check`](Self::check) has accepted for the same prelude.
    #[inline]
    pub(crate) fn new(frame: &'a [u8], prelude: Prelude) -> Self {
        let headers = &frame[PRELUDE_LEN..prelude.payload_start()];
        MessageRef { headers, payload: &frame[prelude.payload_start()..prelude.payload_end()] }
    }

    /// Iterates over the headers, in their order in the frame.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(self.headers)
    }

    /// Returns the value of the first header with that name.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'a>> {
        self.headers().find(|header| header.name == name).map(|header| header.value)
    }

    /// Returns the payload.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns the header block as it is in the frame.
    pub(crate) fn header_block(&self) -> &'a [u8] {
        self.headers
    }

    /// Iterates over names and values of the headers of type string, as bytes. Comparing bytes avoids
    /// decoding each header a second time.
    #[inline]
    pub(crate) fn string_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        RawHeaders::new(self.headers).flatten().filter_map(RawHeader::string)
    }
}
