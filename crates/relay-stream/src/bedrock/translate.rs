//! Bytes to bytes, with an honest end.

use bytes::BytesMut;

use super::{ConvertError, Converter};
use crate::frame::{Decoder, FrameError, Limits};
use crate::on_break::OnBreak;
use crate::on_break::write_break;

/// Turns the bytes of Bedrock's stream, cut anywhere, into the bytes of Anthropic's.
///
/// Sans-I/O: [`SseBody`](super::SseBody) and [`SseStream`](super::SseStream) put it around a body or a stream. Keeps
/// what [`Decoder`] and [`Converter`] keep.
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
    /// A translator at the start of a stream, with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits for a message.
    pub fn with_limits(self, limits: Limits) -> Self {
        Translator { decoder: self.decoder.with_limits(limits), ..self }
    }

    /// Sets what a broken stream becomes. Default: [`OnBreak::Abort`].
    pub fn with_on_break(self, on_break: OnBreak) -> Self {
        Translator { on_break, ..self }
    }

    /// Takes in the next bytes, and appends every event that they complete to `out`.
    /// # Errors
    /// [`TranslateError`] for bytes that are no valid stream, unless [`OnBreak::ErrorEvent`] puts an event in its
    /// place. The events before the fault are in `out` and should still be sent; the error is final.
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

    /// Takes note that the upstream ended its stream.
    /// # Errors
    /// [`TranslateError`] if it ended within a message, or before `message_stop` or an error; an event in its place
    /// as in [`push`](Self::push).
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

    /// Takes note that the upstream's connection failed. True if that is settled by [`OnBreak::ErrorEvent`], false if
    /// the caller has to pass on the failure.
    pub fn interrupt(&mut self, out: &mut BytesMut) -> bool {
        let open = matches!(self.state, State::Open);
        self.state = State::Done;
        if open && self.on_break == OnBreak::ErrorEvent && !self.converter.is_complete() {
            write_break(out);
        }
        self.on_break == OnBreak::ErrorEvent
    }

    /// True once nothing more will come out, whatever goes in.
    pub fn is_done(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// True if the stream may end here.
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

/// Why a stream of Bedrock's could not be translated to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranslateError {
    /// The framing is broken.
    #[error("the event stream is malformed")]
    Frame(#[from] FrameError),
    /// A message is not what the service sends.
    #[error("a message of the event stream cannot be converted")]
    Convert(#[from] ConvertError),
    /// The stream ended without `message_stop` and without an error.
    #[error("the stream ended without message_stop")]
    Incomplete,
}
