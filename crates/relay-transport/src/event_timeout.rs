//! The limit on the time without an event of the answer, for a stream whose events are checked.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use relay_stream::body::TokioTimer;
use relay_stream::watch::Progress;
use tokio::time::Instant;

use crate::arrivals::Arrivals;
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
        timer: TokioTimer,
        limit: Duration,
        clock: EventClock,
    }
}

/// The time of the last event of one stream. Clones share it.
#[derive(Debug, Clone)]
pub struct EventClock {
    arrivals: Arrivals,
    /// True if this clock notes the arrivals, since no body does.
    notes_arrivals: bool,
}

impl<B> EventTimeout<B> {
    /// Limits the time without an event of `body` to twice `idle_timeout`, of which the relay counts at most a day. An event has
    /// the time of the frame that completes it: from `arrivals`, or without them from the time of its report. Returns the clock
    /// to report to.
    pub fn new(body: B, idle_timeout: Duration, arrivals: Option<Arrivals>) -> (Self, EventClock) {
        let limit = idle_timeout.min(DAY) * 2;
        let notes_arrivals = arrivals.is_none();
        let arrivals = arrivals.unwrap_or_else(Arrivals::new);
        // The limit counts from here, also if the stream has begun before.
        arrivals.events().last = arrivals.now();
        let clock = EventClock { arrivals, notes_arrivals };
        (Self { body, timer: TokioTimer::new(limit), limit, clock: clock.clone() }, clock)
    }
}

impl EventClock {
    /// Records the progress that one frame has made.
    pub fn record(&self, progress: Progress) {
        if self.notes_arrivals {
            self.arrivals.note(Instant::now());
        }
        let mut events = self.arrivals.events();
        events.is_incomplete = progress == Progress::Incomplete;
        if progress == Progress::Event {
            let before = std::mem::replace(&mut events.last, self.arrivals.last());
            if std::mem::replace(&mut events.has_begun, true) {
                let gap = events.last.saturating_sub(before);
                events.gaps.add(gap);
            }
        }
    }

    /// The times at which the frames of the stream arrive.
    #[must_use]
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The gaps between the events so far.
    #[must_use]
    pub fn gaps(&self) -> EventGaps {
        self.arrivals.events().gaps
    }

    /// The time of the last event, or `None` if the last frame ended inside an event and completed none.
    fn last_event(&self) -> Option<std::time::Instant> {
        let events = self.arrivals.events();
        (!events.is_incomplete).then(|| self.arrivals.start() + events.last)
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
            && Pin::new(this.timer)
                .poll_until(cx, || clock.last_event().map(|event| event + limit))
                .is_ready()
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

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_event_has_the_time_at_which_its_frame_arrived() {
        let second = Duration::from_secs(1);
        let arrivals = Arrivals::new();
        let (_, clock) = EventTimeout::new((), 100 * second, Some(arrivals.clone()));
        for (pause, progress) in [(1, Progress::Event), (2, Progress::Nothing), (3, Progress::Event)] {
            sleep(pause * second).await;
            arrivals.note(Instant::now());
            sleep(pause * second).await;
            clock.record(progress);
        }
        assert_eq!((clock.gaps().count, clock.gaps().sum), (1, 8 * second));
    }
}
