//! The timer of the pings of a stream.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use relay_stream::body::{Timer, TokioTimer};
use relay_transport::Arrivals;

/// Measures the silence from the arrival of the last frame, so that a frame costs no look at the clock.
pub(crate) struct PingTimer {
    timer: TokioTimer,
    arrivals: Arrivals,
    /// From the start of the arrivals.
    deadline: Duration,
    /// True from the expiry to the next reset.
    has_expired: bool,
}

impl PingTimer {
    /// Creates a timer that expires `after` from now. Later, it counts from a time of `arrivals`.
    pub(crate) fn new(arrivals: Arrivals, after: Duration) -> Self {
        let deadline = arrivals.now() + after;
        Self { timer: TokioTimer::new(after), arrivals, deadline, has_expired: false }
    }
}

impl Timer for PingTimer {
    fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { timer, arrivals, deadline, has_expired } = &mut *self;
        ready!(Pin::new(timer).poll_until(cx, || Some(arrivals.start() + *deadline)));
        *has_expired = true;
        Poll::Ready(())
    }

    /// Sets the timer to expire `after` from the arrival of the last frame or, after its expiry, from now. The deadline is never
    /// earlier than before.
    fn reset(mut self: Pin<&mut Self>, after: Duration) {
        let since = if mem::take(&mut self.has_expired) { self.arrivals.now() } else { self.arrivals.last() };
        self.deadline = self.deadline.max(since + after);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use relay_stream::watch::Progress;
    use relay_transport::EventTimeout;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_last_arrival_and_then_from_the_expiry() {
        let second = Duration::from_secs(1);
        let started = Instant::now();
        let (_, clock) = EventTimeout::new((), 100 * second, None);
        let mut timer = pin!(PingTimer::new(clock.arrivals().clone(), 15 * second));
        sleep(10 * second).await;
        clock.record(Progress::Event);
        // The frame is forwarded late.
        sleep(2 * second).await;
        timer.as_mut().reset(15 * second);
        for expected in [25, 40, 55] {
            poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
            assert_eq!(started.elapsed().as_secs(), expected);
            timer.as_mut().reset(15 * second);
        }
    }
}
