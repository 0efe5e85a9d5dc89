//! The timer of tokio, for deadlines that move with every frame.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::{Timer, Woken};

pin_project! {
    /// The timer of tokio. Needs a runtime with its time driver on.
    ///
    /// A later deadline costs nothing until the earlier one expires: the timer of the runtime is then set once more. While a
    /// task is woken for other reasons, a poll does not reach the runtime either.
    #[derive(Debug)]
    pub struct TokioTimer {
        // Expires at the deadline or earlier.
        #[pin]
        sleep: Woken<Sleep>,
        deadline: Instant,
    }
}

impl TokioTimer {
    /// Creates a timer that expires `after` from now.
    /// # Panics
    /// Panics outside of a tokio runtime, like [`tokio::time::sleep`].
    pub fn new(after: Duration) -> Self {
        let sleep = tokio::time::sleep(after);
        TokioTimer { deadline: sleep.deadline(), sleep: Woken::new(sleep) }
    }

    /// Returns `Ready` once the time that `deadline` returns, a time of tokio's clock, has passed. Before that, returns `Pending`
    /// and registers the task.
    ///
    /// `deadline` is called only if the time that it returned before has passed, so a deadline that each frame moves costs
    /// nothing for a frame. It must not return an earlier time than before. While it returns `None`, there is no deadline, and the
    /// task is not registered.
    pub fn poll_until(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        deadline: impl Fn() -> Option<std::time::Instant>,
    ) -> Poll<()> {
        while self.as_mut().poll_elapsed(cx).is_ready() {
            match deadline() {
                Some(deadline) if self.deadline < deadline.into() => self.as_mut().reset_at(deadline),
                Some(_) => return Poll::Ready(()),
                None => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Sets the timer to expire at `deadline`, a time of tokio's clock, which replaces the earlier deadline. Unlike
    /// [`reset`](Timer::reset), it reads no clock.
    pub fn reset_at(self: Pin<&mut Self>, deadline: std::time::Instant) {
        let this = self.project();
        *this.deadline = deadline.into();
        if *this.deadline < this.sleep.get_ref().deadline() {
            this.sleep.get_pin_mut().reset(*this.deadline);
        }
    }
}

impl Timer for TokioTimer {
    #[inline]
    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while this.sleep.as_mut().poll(cx).is_ready() {
            if *this.deadline <= this.sleep.get_ref().deadline() {
                return Poll::Ready(());
            }
            this.sleep.as_mut().get_pin_mut().reset(*this.deadline);
        }
        Poll::Pending
    }

    fn reset(self: Pin<&mut Self>, after: Duration) {
        let now = Instant::now();
        // A deadline that the clock cannot represent is replaced by one day, which is longer than any stream.
        let deadline = now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(86_400));
        self.reset_at(deadline.into());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_timer_expires_at_the_last_deadline_and_stays_expired() {
        let start = Instant::now();
        let mut timer = pin!(TokioTimer::new(10 * SECOND));
        poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
        assert_eq!(start.elapsed(), 10 * SECOND);
        poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
        for (before, after) in [(10, 4), (4, 10), (10, 10)] {
            let start = Instant::now();
            timer.as_mut().reset(before * SECOND);
            assert_pending!(task::spawn(poll_fn(|cx| timer.as_mut().poll_elapsed(cx))).poll());
            tokio::time::advance(SECOND).await;
            timer.as_mut().reset(after * SECOND);
            poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
            assert_eq!(start.elapsed(), (1 + after) * SECOND, "{before} s, then {after} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_moving_deadline_is_read_only_when_the_earlier_one_has_passed() {
        let start = Instant::now();
        let deadline = Cell::new(None);
        let reads = Cell::new(0);
        let read = || {
            reads.set(reads.get() + 1);
            deadline.get().map(|after| (start + after).into())
        };
        let mut timer = pin!(TokioTimer::new(10 * SECOND));
        let mut task = task::spawn(());
        for second in 1..10 {
            assert_pending!(task.enter(|cx, _| timer.as_mut().poll_until(cx, read)));
            deadline.set(Some(10 * SECOND + second * SECOND));
            tokio::time::advance(SECOND).await;
        }
        assert_eq!(reads.get(), 0);
        poll_fn(|cx| timer.as_mut().poll_until(cx, read)).await;
        assert_eq!((start.elapsed(), reads.get()), (19 * SECOND, 2));
        deadline.set(None);
        assert_pending!(task.enter(|cx, _| timer.as_mut().poll_until(cx, read)));
        deadline.set(Some(20 * SECOND));
        poll_fn(|cx| timer.as_mut().poll_until(cx, read)).await;
        assert_eq!(start.elapsed(), 20 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_in_the_past_expires_at_once() {
        let mut timer = pin!(TokioTimer::new(SECOND));
        assert_pending!(task::spawn(poll_fn(|cx| timer.as_mut().poll_elapsed(cx))).poll());
        timer.as_mut().reset_at(Instant::now().into());
        assert_ready!(task::spawn(poll_fn(|cx| timer.as_mut().poll_elapsed(cx))).poll());
    }
}
