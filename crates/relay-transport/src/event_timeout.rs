//! The limit on the time without an event of the answer, for a stream whose events are checked.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_stream::body::TokioTimer;
use relay_stream::watch::Progress;
use tokio::time::Instant;

use crate::body::AnswerBodyError;
use crate::event_gaps::EventGaps;
use crate::idle::DAY;

pin_project! {
    /// Passes frames on. Ends with an error if the reader of the frames has found no event of the answer for `limit`.
    ///
    /// The reader is a [`WatchBody`](relay_stream::watch::WatchBody) around this body, which reports to the [`EventClock`].
    /// Events that it drops, and pings, are not events of the answer. While it holds an incomplete event, the limit does not
    /// apply: an [`IdleTimeout`](crate::IdleTimeout) inside this body limits the silence.
    pub struct EventTimeout<B> {
        #[pin]
        body: B,
        #[pin]
        timer: TokioTimer,
        limit: Duration,
        clock: EventClock,
    }
}

/// The time of the last event of one stream. Clones share it.
#[derive(Debug, Clone)]
pub struct EventClock(Arc<Mutex<Last>>);

#[derive(Debug)]
struct Last {
    event: Instant,
    /// True after the first event. Before that, `event` is the start of the stream.
    has_begun: bool,
    /// The gaps between the events.
    gaps: EventGaps,
    /// True if the last frame ended inside an event and completed none.
    is_incomplete: bool,
}

impl<B> EventTimeout<B> {
    /// Limits the time without an event of `body` to twice `idle_timeout`, of which the relay counts at most a day. Returns
    /// the clock to report to.
    pub fn new(body: B, idle_timeout: Duration) -> (Self, EventClock) {
        let limit = idle_timeout.min(DAY) * 2;
        let (event, gaps) = (Instant::now(), EventGaps::default());
        let last = Last { event, has_begun: false, gaps, is_incomplete: false };
        let clock = EventClock(Arc::new(Mutex::new(last)));
        (Self { body, timer: TokioTimer::new(limit), limit, clock: clock.clone() }, clock)
    }
}

impl EventClock {
    /// Records the progress that one frame has made.
    pub fn record(&self, progress: Progress) {
        let mut last = self.last();
        last.is_incomplete = progress == Progress::Incomplete;
        if progress == Progress::Event {
            let before = std::mem::replace(&mut last.event, Instant::now());
            if std::mem::replace(&mut last.has_begun, true) {
                let gap = last.event.saturating_duration_since(before);
                last.gaps.add(gap);
            }
        }
    }

    /// The gaps between the events so far.
    #[must_use]
    pub fn gaps(&self) -> EventGaps {
        self.last().gaps
    }

    /// The time of the last event, or `None` if the last frame ended inside an event and completed none.
    fn last_event(&self) -> Option<Instant> {
        let last = self.last();
        (!last.is_incomplete).then_some(last.event)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Body for EventTimeout<B>
where
    B: Body<Data = Bytes, Error = AnswerBodyError>,
{
    type Data = Bytes;
    type Error = AnswerBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBodyError>>> {
        let this = self.project();
        let mut frame = this.body.poll_frame(cx);
        let (clock, limit) = (this.clock, *this.limit);
        // A frame that has arrived counts, also if its reader was late.
        if frame.is_pending()
            && this.timer.poll_until(cx, || clock.last_event().map(|event| (event + limit).into())).is_ready()
        {
            frame = Poll::Ready(Some(Err(AnswerBodyError::NoEvents { after: limit })));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
