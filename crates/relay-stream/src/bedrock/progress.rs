//! The interface of a translation, its state, and its end by a break.

use bytes::{Bytes, BytesMut};

use crate::on_break::OnBreak;

/// A translation of a stream of bytes, in one direction.
pub(super) trait Translate {
    type Error;

    fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<(), Self::Error>;
    fn finish(&mut self, out: &mut BytesMut) -> Result<(), Self::Error>;
    fn interrupt(&mut self, out: &mut BytesMut) -> bool;
    fn is_done(&self) -> bool;
    fn may_end(&self) -> bool;
}

/// The state that both translators share. `X` is the error of the translator.
#[derive(Debug)]
pub(super) struct Progress<X> {
    on_break: OnBreak,
    state: State<X>,
}

#[derive(Debug)]
enum State<X> {
    Open,
    Done,
    Failed(X),
}

impl<X> Default for Progress<X> {
    fn default() -> Self {
        Progress { on_break: OnBreak::default(), state: State::Open }
    }
}

impl<X: Clone> Progress<X> {
    pub(super) fn with_on_break(self, on_break: OnBreak) -> Self {
        Progress { on_break, ..self }
    }

    /// Returns `None` while the translation is open, and afterwards the result of every call.
    pub(super) fn over(&self) -> Option<Result<(), X>> {
        match &self.state {
            State::Open => None,
            State::Done => Some(Ok(())),
            State::Failed(error) => Some(Err(error.clone())),
        }
    }

    /// Ends the translation regularly.
    pub(super) fn finish(&mut self) {
        self.state = State::Done;
    }

    /// Ends the translation by a fault. Returns `Ok` if an error that is written for the client replaces it.
    pub(super) fn fail(&mut self, error: X) -> Result<(), X> {
        match self.on_break {
            OnBreak::Abort => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
            OnBreak::ErrorEvent => {
                self.state = State::Done;
                Ok(())
            }
        }
    }

    /// Ends the translation by a failure of the connection. Returns `true` if an error that is written for the
    /// client replaces the failure.
    pub(super) fn interrupt(&mut self) -> bool {
        self.state = State::Done;
        self.on_break == OnBreak::ErrorEvent
    }

    /// Returns `true` if the stream may end here. `complete` is the state of an open translation.
    pub(super) fn may_end(&self, complete: bool) -> bool {
        match self.state {
            State::Open => complete,
            State::Done => true,
            State::Failed(_) => false,
        }
    }
}
