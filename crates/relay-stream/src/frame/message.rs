//! A complete message.

use bytes::Bytes;

use super::header::{self, RawHeader, RawHeaders};
use super::{FrameError, HeaderValue, Headers, Limits, PRELUDE_LEN, Prelude};

/// A message: one checked frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    frame: Bytes,
    payload_start: usize,
}

/// A message whose frame is borrowed, from [`Decoder::decode_slice`](super::Decoder::decode_slice) or
/// [`Message::as_borrowed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl Message {
    /// `frame` must be what [`MessageRef::check`] accepted for the same prelude.
    pub(crate) fn new(frame: Bytes, prelude: Prelude) -> Self {
        Message { frame, payload_start: prelude.payload_start() }
    }

    /// The same message, borrowed.
    pub fn as_borrowed(&self) -> MessageRef<'_> {
        let payload = &self.frame[self.payload_start..self.frame.len() - 4];
        MessageRef { headers: &self.frame[PRELUDE_LEN..self.payload_start], payload }
    }

    /// The headers, in order.
    pub fn headers(&self) -> Headers<'_> {
        self.as_borrowed().headers()
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'_>> {
        self.as_borrowed().header(name)
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.as_borrowed().payload()
    }

    /// The payload, as a slice of the frame.
    pub fn into_payload(self) -> Bytes {
        self.frame.slice(self.payload_start..self.frame.len() - 4)
    }

    /// The whole frame as it came, checksums included.
    pub fn as_frame(&self) -> &Bytes {
        &self.frame
    }
}

impl<'a> MessageRef<'a> {
    /// Checks a frame whose prelude has been checked, and whose length is what that says.
    #[inline]
    pub(crate) fn check(frame: &'a [u8], prelude: Prelude, limits: &Limits) -> Result<Self, FrameError> {
        let (signed, checksum) = frame.split_at(prelude.payload_end());
        let found = checksum.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        let computed = crc32fast::hash(signed);
        if found != computed {
            return Err(FrameError::MessageChecksum { found, computed });
        }
        let message = Self::new(frame, prelude);
        header::check(message.headers, limits.header_count)?;
        Ok(message)
    }

    /// `frame` must be what [`check`](Self::check) accepted for the same prelude.
    #[inline]
    pub(crate) fn new(frame: &'a [u8], prelude: Prelude) -> Self {
        let headers = &frame[PRELUDE_LEN..prelude.payload_start()];
        MessageRef { headers, payload: &frame[prelude.payload_start()..prelude.payload_end()] }
    }

    /// The headers, in order.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(self.headers)
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<HeaderValue<'a>> {
        self.headers().find(|header| header.name == name).map(|header| header.value)
    }

    /// The payload.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The headers as they are in the frame.
    pub(crate) fn header_block(&self) -> &'a [u8] {
        self.headers
    }

    /// Names and values of the headers that are strings, as bytes: to compare them without reading each as text again.
    #[inline]
    pub(crate) fn string_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        RawHeaders::new(self.headers).flatten().filter_map(RawHeader::string)
    }
}
