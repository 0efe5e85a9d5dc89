//! The bodies at the relay's own edge.

use std::pin::Pin;
use std::task::{Context, Poll};

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
/// connection to the client has to break off too (HTTP/1.1: no last chunk; HTTP/2: reset), as hyper does.
#[derive(Debug)]
pub struct Body {
    inner: Inner,
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
        Self { inner: Inner::Own(Full::new(bytes)), permit: None, log: None }
    }
}

impl From<AnswerBody> for Body {
    fn from(body: AnswerBody) -> Self {
        Self { inner: Inner::Answer(body), permit: None, log: None }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A server asks no further once it has been told that the end is reached.
        if let Some(log) = &mut self.log
            && self.inner.is_end_stream()
        {
            log.complete();
        }
    }
}

impl Inner {
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
        let frame = match &mut this.inner {
            Inner::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Inner::Answer(body) => Pin::new(body).poll_frame(cx),
        };
        if let (Poll::Ready(frame), Some(log)) = (&frame, &mut this.log) {
            log.saw(frame.as_ref());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own(body) => body.size_hint(),
            Inner::Answer(body) => body.size_hint(),
        }
    }
}
