//! The error of the adapters.

use crate::bedrock::TranslateError;
use crate::events::DamagedEvent;
use crate::frame::FrameError;
use crate::sse::SseError;

/// An error of a body or stream adapter of this crate. `E` is the error of the inner body or stream.
///
/// After an error, an adapter returns nothing more. The results before the fault have been returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The inner body or stream failed.
    #[error(transparent)]
    Inner(E),
    /// The bytes of the inner stream are not a valid Event Stream.
    #[error("the event stream is malformed")]
    Frame(#[source] FrameError),
    /// The bytes of the inner body or stream cannot be translated into server-sent events.
    #[error("the event stream cannot be translated")]
    Translate(#[source] TranslateError),
    /// An event of the inner body or stream is larger than the limit.
    #[error(transparent)]
    Sse(SseError),
    /// The inner body contained an event that no client can use.
    #[error(transparent)]
    Damaged(DamagedEvent),
    /// An event of the inner body is too large for a frame of an Event Stream.
    #[cfg(any(test, feature = "encode"))]
    #[error("an event cannot be written as a frame")]
    Encode(#[source] crate::frame::EncodeError),
    /// The inner body ended before its message was complete: without `message_stop` and without an error, or
    /// inside its JSON object.
    #[error("the answer ended before it was complete")]
    Incomplete,
}

impl<E> StreamError<E> {
    /// Returns `true` for [`StreamError::Incomplete`]: a regular end of the body before the end of its message.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, StreamError::Incomplete)
    }
}

impl<E> From<TranslateError> for StreamError<E> {
    fn from(error: TranslateError) -> Self {
        match error {
            TranslateError::Incomplete => StreamError::Incomplete,
            error => StreamError::Translate(error),
        }
    }
}

#[cfg(any(test, feature = "encode"))]
impl<E> From<crate::bedrock::FrameTranslateError> for StreamError<E> {
    fn from(error: crate::bedrock::FrameTranslateError) -> Self {
        use crate::bedrock::FrameTranslateError as Error;
        match error {
            Error::Sse(error) => StreamError::Sse(error),
            Error::Damaged(event) => StreamError::Damaged(event),
            Error::Encode(error) => StreamError::Encode(error),
            Error::Incomplete => StreamError::Incomplete,
        }
    }
}
