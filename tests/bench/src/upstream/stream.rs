//! The body of a streamed answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::events::{Framing, now};
use super::scenario::Scenario;
use crate::Result;

/// The state that the streams share with the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// The end of the streams that have none of their own.
    ended: watch::Sender<()>,
    flooded: Arc<AtomicU64>,
}

impl Control {
    /// Ends the paced and held streams that are open.
    pub(crate) fn end_streams(&self) {
        self.ended.send_replace(());
    }

    /// Returns the bytes of all large deltas that connections have accepted so far. Up to 16 deltas of each stream (over
    /// HTTP/2 400 KB) may still be in the buffers of the upstream.
    pub(crate) fn flooded(&self) -> u64 {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Returns a future that completes when the streams are ended the next time.
    fn next_end(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut receiver = self.ended.subscribe();
        Box::pin(async move {
            // An error means that the upstream ends.
            let _ = receiver.changed().await;
        })
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
}

enum Pace {
    /// The deltas that are left, the delta itself, and the count of its bytes. `flushed` is false directly after a
    /// delta.
    Burst {
        left: u32,
        delta: Bytes,
        sent: Arc<AtomicU64>,
        flushed: bool,
    },
    Timed {
        timer: Timer,
        ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
    /// No delta.
    Held {
        ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Burst { .. } => "Burst",
            Self::Timed { .. } => "Timed",
            Self::Held { .. } => "Held",
        })
    }
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
    pub(crate) fn new(scenario: Scenario, framing: Framing, control: &Control) -> Result<Self> {
        let pace = match scenario {
            Scenario::Burst { events } => Pace::Burst {
                left: events,
                delta: framing.delta(now())?,
                sent: Arc::default(),
                flushed: true,
            },
            Scenario::Flood { events } => {
                let (delta, sent) = (framing.large_delta()?, Arc::clone(&control.flooded));
                Pace::Burst { left: events, delta, sent, flushed: true }
            }
            Scenario::Paced { gap } => Pace::Timed { timer: Timer::new(gap), ended: control.next_end() },
            Scenario::Held => Pace::Held { ended: control.next_end() },
        };
        let mut end = framing.end()?;
        if scenario == Scenario::Held {
            end = [framing.block_start()?, end].concat().into();
        }
        Ok(Self { framing, pace, next: Step::Start, end })
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
            Pace::Burst { left, delta, sent, flushed } => {
                (*left, *flushed) = (*left - 1, false);
                sent.fetch_add(delta.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(delta.clone()))
            }
            Pace::Timed { timer, ended } => {
                if ended.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                ready!(timer.poll(cx));
                Poll::Ready(self.framing.delta(now()).ok())
            }
            Pace::Held { ended } => ended.as_mut().poll(cx).map(|()| None),
        }
    }
}

/// The times of the deltas of one stream: at once, then at a random time within the gap, then once per gap.
///
/// Streams that start together therefore do not send together. A delta that is late does not make the later ones hurry,
/// which would fill the buffers of a slow proxy.
#[derive(Debug)]
struct Timer {
    gap: Duration,
    sleep: Pin<Box<Sleep>>,
    is_first: bool,
}

impl Timer {
    fn new(gap: Duration) -> Self {
        Self { gap, sleep: Box::pin(sleep_until(Instant::now())), is_first: true }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.sleep.as_mut().poll(cx));
        let gap = if self.is_first { self.gap.mul_f64(fastrand::f64()) } else { self.gap };
        self.is_first = false;
        let next = (self.sleep.deadline() + gap).max(Instant::now());
        self.sleep.as_mut().reset(next);
        Poll::Ready(())
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
                let silent = matches!(self.pace, Pace::Held { .. });
                self.next = if silent { Step::Deltas } else { Step::BlockStart };
                self.framing.start().ok()
            }
            Step::BlockStart => {
                self.next = Step::Deltas;
                self.framing.block_start().ok()
            }
            Step::Deltas => {
                let delta = ready!(self.poll_delta(cx));
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::upstream::events::LARGE;

    /// Returns the frames of a stream to which every write succeeds.
    async fn frames(scenario: Scenario, control: &Control) -> Vec<Bytes> {
        let mut body = EventBody::new(scenario, Framing::Sse, control).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        frames
    }

    #[tokio::test]
    async fn the_bytes_of_large_deltas_are_counted_and_those_of_a_burst_are_not() {
        let control = Control::default();
        let frames = [
            frames(Scenario::Flood { events: 3 }, &control).await,
            frames(Scenario::Burst { events: 3 }, &control).await,
        ];
        // The start of the message, the start of the block, three deltas, and the end.
        assert_eq!(frames.each_ref().map(Vec::len), [6, 6]);
        assert!(frames[0][2].len() > LARGE);
        assert_eq!(control.flooded(), 3 * frames[0][2].len() as u64);
    }
}
