//! The decoder as a codec of tokio-util, for `FramedRead` and `FramedWrite`.

use std::io;

use bytes::BytesMut;

use super::{FrameError, Limits, Message, MessageRef, Prelude};

/// Reads and writes messages over an `AsyncRead` or `AsyncWrite`.
///
/// The codec works in the buffer of the framed transport. That buffer holds at most [`Limits::frame`] bytes
/// of an incomplete message and the bytes of one more read.
/// ```
/// use futures_util::StreamExt;
/// use relay_stream::frame::MessageCodec;
/// use tokio_util::codec::FramedRead;
///
/// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
/// # tokio_test::block_on(async {
/// let mut messages = FramedRead::new(CAPTURE, MessageCodec::new());
/// let message = messages.next().await.transpose()?.expect("the first message");
/// assert_eq!(message.header(":event-type").and_then(|value| value.as_str()), Some("chunk"));
/// # Ok::<(), relay_stream::frame::CodecError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MessageCodec {
    limits: Limits,
    /// The checked prelude of the frame at the start of the buffer. `None` before its 12 bytes have arrived.
    prelude: Option<Prelude>,
    /// The last header block that was accepted.
    headers: Vec<u8>,
    failed: Option<FrameError>,
}

impl MessageCodec {
    /// Creates a codec at the start of a stream, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits for a message.
    pub fn with_limits(self, limits: Limits) -> Self {
        MessageCodec { limits, ..self }
    }

    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        let prelude = match (self.prelude, buffer.first_chunk()) {
            (Some(prelude), _) => prelude,
            (None, None) => return Ok(None),
            (None, Some(bytes)) => *self.prelude.insert(Prelude::read(bytes, &self.limits)?),
        };
        let Some(frame) = buffer.get(..prelude.total()) else { return Ok(None) };
        MessageRef::check(frame, prelude, &self.limits, &mut self.headers)?;
        self.prelude = None;
        Ok(Some(Message::new(buffer.split_to(prelude.total()).freeze(), prelude)))
    }
}

/// An error in reading messages from a transport or in writing them to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The transport failed.
    #[error("the transport failed")]
    Io(#[from] io::Error),
    /// The bytes are not a valid Event Stream. The error is final.
    #[error("the event stream is malformed")]
    Frame(#[from] FrameError),
}

impl tokio_util::codec::Decoder for MessageCodec {
    type Item = Message;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, CodecError> {
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        Ok(self.next(buffer).inspect_err(|error| self.failed = Some(error.clone()))?)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, CodecError> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => {
                let error = FrameError::Truncated { held: buffer.len() };
                self.failed = Some(error.clone());
                Err(error.into())
            }
            message => Ok(message),
        }
    }
}

impl tokio_util::codec::Encoder<Message> for MessageCodec {
    type Error = CodecError;

    fn encode(&mut self, message: Message, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(message.as_frame());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::codec::{Decoder, Encoder};

    use super::*;

    const CAPTURE: &[u8] = include_bytes!("../../testdata/message.eventstream");

    #[test]
    fn the_codec_reads_the_same_messages_as_the_decoder_and_writes_the_same_bytes() {
        let (mut codec, mut buffer, mut out) = (MessageCodec::new(), BytesMut::new(), BytesMut::new());
        let mut plain = super::super::Decoder::new();
        for chunk in CAPTURE.chunks(333) {
            buffer.extend_from_slice(chunk);
            let mut bytes = bytes::Bytes::from_static(chunk);
            while let Some(message) = codec.decode(&mut buffer).unwrap() {
                assert_eq!(plain.decode(&mut bytes).unwrap().as_ref(), Some(&message));
                codec.encode(message, &mut out).unwrap();
            }
            assert_eq!(plain.decode(&mut bytes).unwrap(), None);
        }
        assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
        assert_eq!(out, CAPTURE);
    }

    #[test]
    fn a_truncated_or_malformed_frame_is_a_final_error() {
        let mut codec = MessageCodec::new();
        let mut buffer = BytesMut::from(&CAPTURE[..30]);
        assert!(codec.decode(&mut buffer).unwrap().is_none());
        let cut = codec.decode_eof(&mut buffer).unwrap_err();
        assert!(matches!(cut, CodecError::Frame(FrameError::Truncated { held: 30 })));
        assert!(codec.decode(&mut BytesMut::from(CAPTURE)).is_err());
        let mut codec = MessageCodec::new().with_limits(Limits::new().with_frame(16));
        let large = codec.decode(&mut BytesMut::from(&CAPTURE[..12])).unwrap_err();
        assert!(matches!(large, CodecError::Frame(FrameError::FrameTooLarge { limit: 16, .. })));
    }
}
