//! The bodies at the relay's own edge.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use relay_providers::{AnswerBody, AnswerBodyError};
use tokio::sync::OwnedSemaphorePermit;
use tower::BoxError;

use crate::edge::AccessLog;

/// A client's body, whatever server it came from.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer: frames leave as they arrive from the upstream.
///
/// Dropping it cancels the upstream request behind it. An error means that the upstream broke off, and that the
/// connection to the client has to break off too (HTTP/1.1: no last chunk; HTTP/2: reset), as hyper does. hyper drops
/// with it what it has not written yet; so that the client gets what the upstream sent, an error comes one turn late.
#[derive(Debug)]
pub struct Body {
    inner: Inner,
    /// The error that comes at the next turn.
    failed: Option<AnswerBodyError>,
    /// The place among `server.max_concurrent`, kept until the body is gone.
    permit: Option<OwnedSemaphorePermit>,
    log: Option<AccessLog>,
}

#[derive(Debug)]
enum Inner {
    Own(Full<Bytes>),
    Answer(AnswerBody),
}

impl Body {
    fn of(inner: Inner) -> Self {
        Self { inner, failed: None, permit: None, log: None }
    }

    pub(crate) fn empty() -> Self {
        Self::from(Bytes::new())
    }

    pub(crate) fn with_permit(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }

    pub(crate) fn with_log(mut self, log: AccessLog) -> Self {
        self.log = Some(log);
        self
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(Inner::Own(Full::new(bytes)))
    }
}

impl From<AnswerBody> for Body {
    fn from(body: AnswerBody) -> Self {
        Self::of(Inner::Answer(body))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A server asks no further once it has been told that the end is reached.
        if let Some(log) = &mut self.log
            && self.failed.is_none()
            && self.inner.is_end_stream()
        {
            log.complete();
        }
    }
}

impl Inner {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        match self {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Answer(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Answer(body) => body.is_end_stream(),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.get_mut();
        let frame = match this.failed.take() {
            Some(error) => Some(Err(error)),
            None => match ready!(this.inner.poll_frame(cx)) {
                Some(Err(error)) => {
                    this.failed = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                frame => frame,
            },
        };
        if let Some(log) = &mut this.log {
            log.saw(frame.as_ref());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own(body) => body.size_hint(),
            Inner::Answer(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use http_body_util::channel::Channel;
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[tokio::test]
    async fn an_error_leaves_time_to_write_what_came_before_it() {
        let (mut sender, body) = Channel::new(2);
        sender.send_data(Bytes::from_static(b"event")).await.unwrap();
        sender.abort(AnswerBodyError::Incomplete);
        let mut body = Body::from(body.boxed_unsync());
        let mut next = task::spawn(body.frame());
        assert!(matches!(assert_ready!(next.poll()), Some(Ok(_))));
        let mut next = task::spawn(body.frame());
        assert_pending!(next.poll());
        assert!(next.is_woken());
        assert!(matches!(assert_ready!(next.poll()), Some(Err(AnswerBodyError::Incomplete))));
    }
}
