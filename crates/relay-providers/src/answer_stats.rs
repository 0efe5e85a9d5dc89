//! The statistics of an answer, collected while its body passes.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use relay_stream::StreamError;
use relay_stream::body::forward;
use relay_stream::thinking::Thinking;
use relay_stream::watch::{StreamEnd, StreamReport, WatchBody};
use relay_transport::{EventClock, EventGaps};
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::AnswerBodyError;
use crate::billed::Billed;
use crate::upstream_address::UpstreamAddress;

/// The statistics of an answer: the time of its first content, its usage and its end. Clones share them. They are complete
/// once the body has been dropped.
#[derive(Debug, Clone, Default)]
pub struct AnswerStats(Arc<Facts>);

// In this order, the facts that each event reads or writes are on one line of the cache.
#[derive(Debug, Default)]
#[repr(C)]
struct Facts {
    /// The events with content so far.
    deltas: AtomicU64,
    /// The counted input tokens so far.
    input: AtomicU64,
    first_content: OnceLock<Instant>,
    /// True once an answer collects its facts here.
    is_taken: AtomicBool,
    /// The clock of the events of a stream.
    clock: OnceLock<EventClock>,
    /// The upstream's id of the request, if the answer was held back.
    request_id: OnceLock<Box<str>>,
    /// The address of the upstream, once a request is sent.
    address: OnceLock<UpstreamAddress>,
    end: OnceLock<(StreamReport, StreamEnd)>,
}

impl AnswerStats {
    /// The time at which the first content arrived; `None` before that, and for an answer that is not a stream.
    #[must_use]
    pub fn first_content(&self) -> Option<std::time::Instant> {
        self.0.first_content.get().map(|at| at.into_std())
    }

    /// The report of the whole body, and its end; `None` before the end, and for an answer that the relay does not read.
    #[must_use]
    pub fn end(&self) -> Option<&(StreamReport, StreamEnd)> {
        self.0.end.get()
    }

    /// The tokens of the answer that the upstream bills; `None` before the end, and if none are billed.
    #[must_use]
    pub fn billed(&self) -> Option<Billed> {
        self.end().and_then(|(report, _)| Billed::of(report))
    }

    /// The gaps between the events of a stream so far.
    #[must_use]
    pub fn gaps(&self) -> EventGaps {
        self.0.clock.get().map(EventClock::gaps).unwrap_or_default()
    }

    /// The upstream's id of the request, from the head of a stream that was held back.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.get().map(|id| &**id)
    }

    /// The address that the request was sent to; `None` before that, and if it was not sent.
    #[must_use]
    pub fn address(&self) -> Option<&UpstreamAddress> {
        self.0.address.get()
    }

    /// The number of events with content that have passed so far.
    #[must_use]
    pub fn deltas(&self) -> u64 {
        self.0.deltas.load(Ordering::Relaxed)
    }

    /// The input tokens that the answer has reported so far, without those read from a cache; 0 before the report.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.0.input.load(Ordering::Relaxed)
    }

    /// Returns `true` if the body ended before the answer was complete, even if the client got an `error` event instead
    /// of the break. A body that was dropped has not ended.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.end().is_some_and(|(report, end)| *end != StreamEnd::Dropped && !report.is_complete())
    }

    /// Returns these statistics to the first caller, and new ones to every other: each answer has its own, also if a layer
    /// calls the upstream more than once in an attempt.
    pub(crate) fn take(&self) -> Self {
        if self.0.is_taken.swap(true, Ordering::Relaxed) { Self::default() } else { self.clone() }
    }

    /// Notes the clock of the events of a stream.
    pub(crate) fn set_clock(&self, clock: &EventClock) {
        let _ = self.0.clock.set(clock.clone());
    }

    /// Notes the upstream's id of the request.
    pub(crate) fn set_request_id(&self, id: &str) {
        let _ = self.0.request_id.set(id.into());
    }

    /// Notes the address that a request is sent to. The first one stays.
    pub(crate) fn set_address(&self, address: UpstreamAddress) {
        let _ = self.0.address.set(address);
    }

    /// Records the facts of `report`, which has seen all that has passed so far.
    pub(crate) fn see(&self, report: &StreamReport) {
        self.0.deltas.store(report.deltas, Ordering::Relaxed);
        let written = report.usage.cache_creation_input_tokens.unwrap_or(0);
        if let Some(input) = report.usage.input_tokens {
            self.0.input.store(input.saturating_add(written), Ordering::Relaxed);
        }
        if report.content && self.0.first_content.get().is_none() {
            // If another task was faster, its time stays.
            let _ = self.0.first_content.set(Instant::now());
        }
    }

    /// Returns the callback for the end of the body.
    pub(crate) fn on_end(&self) -> OnEnd {
        let stats = self.clone();
        Box::new(move |report, end| stats.set_end(report, end))
    }

    /// Records the report of the whole body and its end.
    pub(crate) fn set_end(&self, report: StreamReport, end: StreamEnd) {
        // A body ends once.
        let _ = self.0.end.set((report, end));
    }
}

/// A callback for the report of a whole body and its end. Called once.
pub(crate) type OnEnd = Box<dyn FnOnce(StreamReport, StreamEnd) + Send>;

/// A callback for the thinking in a body. Called for each signature, and for thinking without one.
pub(crate) type OnThinking = Box<dyn FnMut(Thinking) + Send>;

/// The time that an upstream has to end its body after `message_stop` or an `error` event. Clients such as Claude Code wait
/// for the end of the body.
const END_GRACE: Duration = Duration::from_secs(1);

/// A streamed body that records the time of its first content. It ends regularly if the upstream does not end it within
/// [`END_GRACE`] after the end of the message.
pub(crate) struct AnswerStatsBody<B> {
    /// The events that were held back.
    start: Bytes,
    inner: Box<WatchBody<B, OnEnd>>,
    stats: AnswerStats,
    /// Runs from the end of the message on.
    grace: Option<Pin<Box<Sleep>>>,
}

impl<B> AnswerStatsBody<B> {
    /// Creates the body of `start`, which `inner` has already forwarded, and the rest of `inner`.
    pub(crate) fn new(start: Bytes, inner: Box<WatchBody<B, OnEnd>>, stats: AnswerStats) -> Self {
        Self { start, inner, stats, grace: None }
    }

    /// Returns `Ready` once the message is complete and the grace for the end of its body has passed.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.inner.report().is_complete() {
            return Poll::Pending;
        }
        self.grace.get_or_insert_with(|| Box::pin(sleep(END_GRACE))).as_mut().poll(cx)
    }
}

impl<B: Body<Data = Bytes, Error = AnswerBodyError> + Unpin> Body for AnswerStatsBody<B> {
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.start.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.start)))));
        }
        let next = Pin::new(&mut *self.inner).poll_frame(cx);
        if next.is_ready() {
            self.stats.see(self.inner.report());
        }
        match next {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(end_error(error)))),
            _ if self.poll_grace(cx).is_ready() => {
                Pin::new(&mut *self.inner).end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(forward(frame)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.inner.is_end_stream()
    }
}

/// Returns the error of a body whose watch reports `error`.
pub(crate) fn end_error(error: StreamError<AnswerBodyError>) -> AnswerBodyError {
    match error {
        StreamError::Inner(error) => error,
        StreamError::Damaged(event) => AnswerBodyError::Malformed(event.into()),
        _ => AnswerBodyError::Incomplete,
    }
}
