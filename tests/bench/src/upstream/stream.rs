//! The body of a streamed answer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::events::{Framing, now};
use super::scenario::Scenario;
use crate::Result;

/// The longest time between the end of all streams and the end of one of them.
const POLL_OF_THE_END: Duration = Duration::from_millis(500);

/// The number of times that the benchmark has ended the open streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends(Arc<AtomicU64>);

impl Ends {
    /// Ends the paced and held streams that are open.
    pub(crate) fn end_streams(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream of events. Each event is one frame, and one write.
#[derive(Debug)]
pub(crate) struct EventBody {
    framing: Framing,
    pace: Pace,
    next: Step,
    /// The events that end the stream.
    end: Bytes,
    ends: Ends,
    started: u64,
}

#[derive(Debug)]
enum Pace {
    /// The deltas that are left, and the delta itself. `flushed` is false directly after a delta.
    Burst {
        left: u32,
        delta: Bytes,
        flushed: bool,
    },
    Timed {
        gap: Duration,
        due: Instant,
        timer: Pin<Box<Sleep>>,
        silent: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    BlockStart,
    Deltas,
    Ended,
}

impl EventBody {
    /// Creates the stream of a scenario.
    /// # Errors
    /// If an event cannot be encoded.
    pub(crate) fn new(scenario: Scenario, framing: Framing, ends: Ends) -> Result<Self> {
        let timed = |gap: Duration, silent| {
            // Streams that start together must not send together.
            let due = Instant::now() + gap.mul_f64(fastrand::f64());
            Pace::Timed { gap, due, timer: Box::pin(sleep_until(due)), silent }
        };
        let pace = match scenario {
            Scenario::Burst { events } => {
                Pace::Burst { left: events, delta: framing.delta(now())?, flushed: true }
            }
            Scenario::Paced { gap } => timed(gap, false),
            Scenario::Held => timed(POLL_OF_THE_END, true),
        };
        let started = ends.count();
        let mut end = framing.end()?;
        if scenario == Scenario::Held {
            end = [framing.block_start()?, end].concat().into();
        }
        Ok(Self { framing, pace, next: Step::Start, end, ends, started })
    }

    /// Returns the next delta, or `None` at the end of the deltas.
    fn poll_delta(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.pace {
            Pace::Burst { left: 0, .. } => Poll::Ready(None),
            // hyper writes what it has when the body is pending: each event gets a write of its own.
            Pace::Burst { flushed: flushed @ false, .. } => {
                *flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Pace::Burst { left, delta, flushed } => {
                (*left, *flushed) = (*left - 1, false);
                Poll::Ready(Some(delta.clone()))
            }
            Pace::Timed { gap, due, timer, silent } => loop {
                if self.ends.count() != self.started {
                    return Poll::Ready(None);
                }
                std::task::ready!(timer.as_mut().poll(cx));
                if !*silent && Instant::now() >= *due {
                    *due += *gap;
                    timer.as_mut().reset((*due).min(Instant::now() + POLL_OF_THE_END));
                    return Poll::Ready(self.framing.delta(now()).ok());
                }
                let poll = Instant::now() + POLL_OF_THE_END;
                timer.as_mut().reset(if *silent { poll } else { (*due).min(poll) });
            },
        }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.next {
            Step::Start => {
                let silent = matches!(self.pace, Pace::Timed { silent: true, .. });
                self.next = if silent { Step::Deltas } else { Step::BlockStart };
                self.framing.start().ok()
            }
            Step::BlockStart => {
                self.next = Step::Deltas;
                self.framing.block_start().ok()
            }
            Step::Deltas => {
                let delta = std::task::ready!(self.poll_delta(cx));
                delta.or_else(|| {
                    self.next = Step::Ended;
                    Some(self.end.clone())
                })
            }
            Step::Ended => None,
        };
        Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}
