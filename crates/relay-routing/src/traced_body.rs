//! A body within the span of its attempt.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tracing::Span;

/// A body that is polled and dropped within the span of its attempt, so that events of that time carry the attempt.
#[derive(Debug)]
pub(crate) struct TracedBody<B> {
    span: Span,
    /// `None` once the body is dropped.
    inner: Option<B>,
}

impl<B> TracedBody<B> {
    pub(crate) fn new(span: Span, inner: B) -> Self {
        Self { span, inner: Some(inner) }
    }
}

impl<B: Body + Unpin> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Self { span, inner: Some(inner) } = &mut *self else { return Poll::Ready(None) };
        let _entered = span.enter();
        Pin::new(inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for TracedBody<B> {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        self.inner = None;
    }
}
