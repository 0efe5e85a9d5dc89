//! The body of an answer with the lease that ends with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use relay_providers::{AnswerBody, AnswerBodyError, AnswerStats};
use tracing::Span;

use crate::affinity::ServedSession;
use crate::clock;
use crate::lease::Lease;

/// The body of an answer with the lease that ends with it. It is polled and dropped within the span of its attempt, so that
/// events of that time carry the attempt. Silent frames are polled outside of it: with a log, each entry costs some 400
/// instructions.
pub(crate) struct LeasedBody {
    span: Span,
    has_silent_frames: bool,
    /// `None` after the end.
    open: Option<OpenBody>,
}

struct OpenBody {
    inner: AnswerBody,
    lease: Lease,
    stats: AnswerStats,
    /// The session that avoids the candidate if the body breaks off.
    session: Option<ServedSession>,
}

impl LeasedBody {
    pub(crate) fn new(
        inner: AnswerBody,
        lease: Lease,
        stats: AnswerStats,
        session: Option<ServedSession>,
        span: Span,
    ) -> Self {
        let open = Some(OpenBody { inner, lease, stats, session });
        Self { span, has_silent_frames: false, open }
    }

    /// With `true`, frames are expected to log nothing, and the span is entered only at the end of the body.
    pub(crate) fn with_silent_frames(mut self, has_silent_frames: bool) -> Self {
        self.has_silent_frames = has_silent_frames;
        self
    }
}

impl OpenBody {
    fn finish(self, is_broken: bool) {
        let Self { inner, lease, stats, session } = self;
        // The statistics are complete once the body is dropped.
        drop(inner);
        // A break may also appear as an `error` event followed by a clean end.
        let is_broken = is_broken || stats.is_cut_off();
        let now = clock::now();
        lease.finish(&stats, is_broken, now);
        if let Some(session) = session.filter(|_| is_broken) {
            session.record_break(now);
        }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let Self { span, has_silent_frames, open: kept } = &mut *self;
        let Some(open) = kept else { return Poll::Ready(None) };
        let entered = (!*has_silent_frames).then(|| span.enter());
        let frame = ready!(Pin::new(&mut open.inner).poll_frame(cx));
        open.lease.flow(&open.stats);
        let is_over = match &frame {
            // The last frame of a body of known length is no longer the upstream's. The body is rarely polled after it.
            Some(Ok(_)) => open.inner.is_end_stream(),
            _ => true,
        };
        if is_over && let Some(open) = kept.take() {
            let _entered = entered.or_else(|| Some(span.enter()));
            open.finish(matches!(frame, Some(Err(_))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |open| open.inner.size_hint())
    }
}

impl Drop for LeasedBody {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let _entered = self.span.enter();
            open.finish(false);
        }
    }
}
