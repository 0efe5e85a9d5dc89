//! The translation of a whole stream: bytes in, bytes out, and an error for an incomplete end.

use bytes::{Bytes, BytesMut};

use super::progress::{Progress, Translate};
use super::{ConvertError, Converter};
use crate::frame::{Decoder, FrameError, Limits};
use crate::on_break::{OnBreak, write_break};

/// Translates the bytes of Bedrock's stream, cut anywhere, into the bytes of Anthropic's.
///
/// The translator does no I/O: [`SseBody`](super::SseBody) and [`SseStream`](super::SseStream) apply it to a
/// body or a stream. Its memory is that of a [`Decoder`] and a [`Converter`].
/// ```
/// use bytes::BytesMut;
/// use relay_stream::bedrock::{TranslateError, Translator};
///
/// # const CAPTURE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/message.eventstream"));
/// let (mut translator, mut out) = (Translator::new(), BytesMut::new());
/// translator.push(&CAPTURE[..1400], &mut out)?;
/// assert!(out.starts_with(b"event: message_start\n"), "complete events are written at once");
/// assert!(matches!(translator.finish(&mut out), Err(TranslateError::Frame(_))), "the stream was cut");
/// # Ok::<(), TranslateError>(())
/// ```
#[derive(Debug, Default)]
pub struct Translator {
    decoder: Decoder,
    converter: Converter,
    progress: Progress<TranslateError>,
}

impl Translator {
    /// Creates a translator at the start of a stream, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits for a message.
    pub fn with_limits(self, limits: Limits) -> Self {
        Translator { decoder: self.decoder.with_limits(limits), ..self }
    }

    /// Sets the handling of a broken stream. Default: [`OnBreak::Abort`].
    pub fn with_on_break(self, on_break: OnBreak) -> Self {
        Translator { progress: self.progress.with_on_break(on_break), ..self }
    }

    /// Reads the next bytes and appends every event that they complete to `out`.
    /// # Errors
    /// [`TranslateError`] if the bytes are not a valid stream. With [`OnBreak::ErrorEvent`] an `error` event
    /// is appended instead. The events before the fault are in `out` and should still be sent. The error is
    /// final.
    pub fn push(&mut self, chunk: &[u8], out: &mut BytesMut) -> Result<(), TranslateError> {
        if let Some(result) = self.progress.over() {
            return result;
        }
        match self.translate(chunk, out) {
            Ok(()) => Ok(()),
            Err(error) => self.end(error, out),
        }
    }

    /// Handles the end of the upstream's stream.
    /// # Errors
    /// [`TranslateError`] if the stream ends inside a message, or without `message_stop` and without an
    /// error. With [`OnBreak::ErrorEvent`] an `error` event is appended instead.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), TranslateError> {
        if let Some(result) = self.progress.over() {
            return result;
        }
        if let Err(error) = self.decoder.finish() {
            return self.end(error.into(), out);
        }
        if !self.converter.is_complete() {
            return self.end(TranslateError::Incomplete, out);
        }
        self.progress.finish();
        Ok(())
    }

    /// Handles a failure of the upstream's connection. Returns `true` if [`OnBreak::ErrorEvent`] has handled
    /// it, and `false` if the caller has to forward the failure.
    pub fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        let open = self.progress.over().is_none();
        let handled = self.progress.interrupt();
        if open && handled && !self.converter.is_complete() {
            write_break(out);
        }
        handled
    }

    /// Returns `true` once no further input produces output.
    pub fn is_done(&self) -> bool {
        self.progress.over().is_some()
    }

    /// Returns `true` if the stream may end here.
    pub fn may_end(&self) -> bool {
        self.progress.may_end(self.converter.is_complete() && self.decoder.buffered() == 0)
    }

    fn translate(&mut self, mut chunk: &[u8], out: &mut BytesMut) -> Result<(), TranslateError> {
        let len = chunk.len();
        while let Some(message) = self.decoder.decode_slice(&mut chunk)? {
            // Several events share one allocation. An event is shorter than its message.
            if out.is_empty() && !chunk.is_empty() {
                out.reserve(len);
            }
            self.converter.convert(message, out)?;
        }
        Ok(())
    }

    fn end(&mut self, error: TranslateError, out: &mut BytesMut) -> Result<(), TranslateError> {
        self.progress.fail(error)?;
        if !self.converter.is_complete() {
            write_break(out);
        }
        Ok(())
    }
}

impl Translate for Translator {
    type Error = TranslateError;

    fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<(), TranslateError> {
        Translator::push(self, &chunk, out)
    }

    fn finish(&mut self, out: &mut BytesMut) -> Result<(), TranslateError> {
        Translator::finish(self, out)
    }

    fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        Translator::interrupt(self, out)
    }

    fn is_done(&self) -> bool {
        Translator::is_done(self)
    }

    fn may_end(&self) -> bool {
        Translator::may_end(self)
    }
}

/// An error in translating a stream of Bedrock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The framing is malformed.
    #[error("the event stream is malformed")]
    Frame(#[from] FrameError),
    /// A message does not have the form that the service defines.
    #[error("a message of the event stream cannot be converted")]
    Convert(#[from] ConvertError),
    /// The stream ended without `message_stop` and without an error message.
    #[error("the stream ended without message_stop")]
    Incomplete,
}
