//! The translation of a whole stream: bytes in, bytes out, and an error for an incomplete end.

use bytes::BytesMut;

use super::{ConvertError, Converter};
use crate::frame::{Decoder, FrameError, Limits};
use crate::on_break::OnBreak;
use crate::on_break::write_break;

/// Translates the bytes of Bedrock's stream, cut anywhere, into the bytes of Anthropic's.
///
/// The translator does no I/O: [`SseBody`](super::SseBody) and [`SseStream`](super::SseStream) apply it to a
/// body or a stream. Its memory is that of a [`Decoder`] and a [`Converter`].
#[derive(Debug, Default)]
pub struct Translator {
    decoder: Decoder,
    converter: Converter,
    on_break: OnBreak,
    state: State,
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Open,
    Done,
    Failed(TranslateError),
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
        Translator { on_break, ..self }
    }

    /// Reads the next bytes and appends every event that they complete to `out`.
    /// # Errors
    /// [`TranslateError`] if the bytes are not a valid stream. With [`OnBreak::ErrorEvent`] an `error` event
    /// is appended instead. The events before the fault are in `out` and should still be sent. The error is
    /// final.
    pub fn push(&mut self, chunk: &[u8], out: &mut BytesMut) -> Result<(), TranslateError> {
        match &self.state {
            State::Open => {}
            State::Done => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
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
        match &self.state {
            State::Open => {}
            State::Done => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
        }
        if let Err(error) = self.decoder.finish() {
            return self.end(error.into(), out);
        }
        if !self.converter.is_complete() {
            return self.end(TranslateError::Incomplete, out);
        }
        self.state = State::Done;
        Ok(())
    }

    /// Handles a failure of the upstream's connection. Returns `true` if [`OnBreak::ErrorEvent`] has handled
    /// it, and `false` if the caller has to forward the failure.
    pub fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        let open = matches!(self.state, State::Open);
        self.state = State::Done;
        if open && self.on_break == OnBreak::ErrorEvent && !self.converter.is_complete() {
            write_break(out);
        }
        self.on_break == OnBreak::ErrorEvent
    }

    /// Returns `true` once no further input produces output.
    pub fn is_done(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Returns `true` if the stream may end here.
    pub fn may_end(&self) -> bool {
        match self.state {
            State::Open => self.converter.is_complete() && self.decoder.buffered() == 0,
            State::Done => true,
            State::Failed(_) => false,
        }
    }

    fn translate(&mut self, mut chunk: &[u8], out: &mut BytesMut) -> Result<(), TranslateError> {
        while let Some(message) = self.decoder.decode_slice(&mut chunk)? {
            self.converter.convert(message, out)?;
        }
        Ok(())
    }

    fn end(&mut self, error: TranslateError, out: &mut BytesMut) -> Result<(), TranslateError> {
        match self.on_break {
            OnBreak::Abort => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
            OnBreak::ErrorEvent => {
                self.state = State::Done;
                if !self.converter.is_complete() {
                    write_break(out);
                }
                Ok(())
            }
        }
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
