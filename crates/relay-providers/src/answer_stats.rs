//! What an answer has told so far, for those who only watch.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_stream::thinking::Thinking;
use relay_stream::watch::{EndError, StreamEnd, StreamReport, WatchBody};
use tokio::time::Instant;

/// How far an answer's body has come. Cloning shares it; it is complete once the body has been dropped.
#[derive(Debug, Clone, Default)]
pub struct AnswerStats(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    first_content: OnceLock<Instant>,
    end: OnceLock<(StreamReport, StreamEnd)>,
}

impl AnswerStats {
    /// When the first content came; `None` also for answers that are not streamed.
    #[must_use]
    pub fn first_content(&self) -> Option<Instant> {
        self.0.first_content.get().copied()
    }

    /// All that the body told, and how it ended; `None` as long as it has not, and for answers that are not read.
    #[must_use]
    pub fn end(&self) -> Option<&(StreamReport, StreamEnd)> {
        self.0.end.get()
    }

    /// Whether the body has ended, and not by dropping it, before its answer was complete: whatever has taken the place of
    /// the break.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.end().is_some_and(|(report, end)| *end != StreamEnd::Dropped && !report.is_complete())
    }

    /// Takes note of what has been seen of a stream.
    pub(crate) fn see(&self, report: &StreamReport) {
        if report.content && self.0.first_content.get().is_none() {
            // Set by whoever saw it first.
            let _ = self.0.first_content.set(Instant::now());
        }
    }

    /// What is to be called at the end of the body.
    pub(crate) fn on_end(&self) -> OnEnd {
        let stats = self.clone();
        Box::new(move |report, end| {
            // A body ends once.
            let _ = stats.0.end.set((report, end));
        })
    }
}

/// Called once, with all that a body told.
pub(crate) type OnEnd = Box<dyn FnOnce(StreamReport, StreamEnd) + Send>;

/// Called for the thinking in a body: for each signature, and for thinking without one.
pub(crate) type OnThinking = Box<dyn FnMut(Thinking) + Send>;

pin_project! {
    /// Notes when the first content of a watched body goes by.
    pub(crate) struct AnswerStatsBody<B> {
        #[pin]
        inner: WatchBody<B, OnEnd>,
        stats: AnswerStats,
    }
}

impl<B> AnswerStatsBody<B> {
    pub(crate) fn new(inner: WatchBody<B, OnEnd>, stats: AnswerStats) -> Self {
        Self { inner, stats }
    }
}

impl<B: Body<Data = Bytes>> Body for AnswerStatsBody<B> {
    type Data = Bytes;
    type Error = EndError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        this.stats.see(this.inner.report());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
