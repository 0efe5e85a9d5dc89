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

use crate::arrivals::Arrivals;

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
pub struct AnswerBody {
    /// The bytes that come before `rest`: those of a body in memory, or those that have been read to find the form of a body.
    start: Bytes,
    rest: Option<UnsyncBoxBody<Bytes, AnswerBodyError>>,
    arrivals: Option<Arrivals>,
}

impl AnswerBody {
    /// Boxes `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
    {
        Self { start: Bytes::new(), rest: Some(body.boxed_unsync()), arrivals: None }
    }

    /// Sets the times at which the frames arrive.
    pub(crate) fn with_arrivals(self, arrivals: Option<Arrivals>) -> Self {
        Self { arrivals, ..self }
    }

    /// Returns the times at which the frames arrive, if the body comes from a connection and may be a stream.
    #[must_use]
    pub fn arrivals(&self) -> Option<&Arrivals> {
        self.arrivals.as_ref()
    }

    /// Wraps this body by an adapter that returns its frames as they arrive.
    #[must_use]
    pub fn adapt<B>(mut self, adapt: impl FnOnce(Self) -> B) -> Self
    where
        B: Body<Data = Bytes, Error = AnswerBodyError> + Send + 'static,
    {
        let arrivals = self.arrivals.take();
        Self::new(adapt(self)).with_arrivals(arrivals)
    }

    /// Puts `start`, all that has been read of this body, before the rest of it.
    pub(crate) fn with_start(self, start: Bytes) -> Self {
        Self { start, ..self }
    }

    /// Returns the bytes of a body that is in memory as a whole: one made [`From`] bytes, before its first frame is read.
    #[must_use]
    pub fn as_whole(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.start)
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
        Self { start: bytes, rest: None, arrivals: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.get_mut();
        if !this.start.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut this.start)))));
        }
        match &mut this.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        with_length(rest, self.start.len())
    }
}

/// Returns `hint` for a body with so many bytes more.
pub(crate) fn with_length(hint: SizeHint, length: usize) -> SizeHint {
    let length = length as u64;
    let mut longer = SizeHint::new();
    longer.set_lower(hint.lower().saturating_add(length));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(length)) {
        longer.set_upper(upper);
    }
    longer
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
