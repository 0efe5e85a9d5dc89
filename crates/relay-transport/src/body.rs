//! The body of a response on its way back through the relay.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

/// The body of an upstream's response: frames in the order and size in which they arrive.
///
/// ```
/// use bytes::Bytes;
/// use http_body::Body;
/// use relay_transport::AnswerBody;
///
/// let body = AnswerBody::from(Bytes::from("{}"));
/// assert_eq!(body.size_hint().exact(), Some(2));
/// ```
#[derive(Debug)]
pub struct AnswerBody(Inner);

#[derive(Debug)]
enum Inner {
    /// The bytes that remain of a body in memory. Empty after its end.
    Whole(Bytes),
    Boxed(UnsyncBoxBody<Bytes, AnswerBodyError>),
}

impl AnswerBody {
    /// Boxes `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
    {
        Self(Inner::Boxed(body.boxed_unsync()))
    }

    /// Returns the bytes of a body that is in memory as a whole: one made [`From`] bytes, before its first frame is read.
    #[must_use]
    pub fn as_whole(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Whole(bytes) => Some(bytes),
            Inner::Boxed(_) => None,
        }
    }
}

impl Default for AnswerBody {
    /// Returns an empty body.
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Whole(bytes))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match &mut self.get_mut().0 {
            Inner::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Boxed(body) => body.size_hint(),
        }
    }
}

/// The reason that the body of an upstream's response ended early. The relay ends its own response early in turn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerBodyError {
    /// The connection failed, or it ended before the body did.
    #[error("the upstream's answer broke off")]
    Transport(#[source] BoxError),
    /// No frame arrived within the idle timeout.
    #[error("the upstream sent nothing for {} s", after.as_secs())]
    Idle {
        /// The idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// Only pings, comments or blank lines arrived for twice the idle timeout.
    #[error("the upstream sent only pings for {} s", after.as_secs())]
    OnlyPings {
        /// Twice the idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// Only events that are not part of an answer arrived for twice the idle timeout.
    #[error("the upstream sent no event of its answer for {} s", after.as_secs())]
    NoEvents {
        /// Twice the idle timeout (`providers[].idle_timeout_ms`).
        after: Duration,
    },
    /// The body ended as if it were complete, but without `message_stop` or an `error` event, or within its JSON.
    #[error("the upstream ended its answer before it was complete")]
    Incomplete,
    /// The body cannot be decompressed, or cannot be converted into the form of the Messages API.
    #[error("the upstream's answer cannot be read")]
    Malformed(#[source] BoxError),
    /// A simulated upstream ended the body early because its script requires it.
    #[error("the mock upstream broke off on request")]
    Scripted,
}

/// Converts the errors of `body`, which comes from a connection, into [`AnswerBodyError::Transport`].
pub fn received<B>(body: B) -> impl Body<Data = Bytes, Error = AnswerBodyError> + Send
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    body.map_err(|error| AnswerBodyError::Transport(error.into()))
}
