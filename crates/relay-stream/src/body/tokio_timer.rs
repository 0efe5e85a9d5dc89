//! The timer of tokio, for deadlines that move with every frame.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::{Timer, Woken};

/// The timer of tokio.
///
/// A later deadline costs nothing until the earlier one expires: the timer of the runtime is then set once more. While a
/// task is woken for other reasons, a poll does not reach the runtime either. A timer that is never polled allocates nothing.
///
/// Polls need a runtime with its time driver on: outside of it they panic, like [`tokio::time::sleep`].
#[derive(Debug)]
pub struct TokioTimer {
    deadline: Instant,
    /// Expires at the deadline or earlier. `None` before the first poll. The timer of the runtime is as large as two of these
    /// timers, and hardly ever used.
    sleep: Option<Woken<Pin<Box<Sleep>>>>,
}

impl TokioTimer {
    /// Creates a timer that expires `after` from now.
    pub fn new(after: Duration) -> Self {
        TokioTimer { deadline: deadline(after), sleep: None }
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
    pub fn reset_at(mut self: Pin<&mut Self>, deadline: std::time::Instant) {
        let deadline = deadline.into();
        self.deadline = deadline;
        if let Some(sleep) = &mut self.sleep
            && deadline < sleep.get_ref().deadline()
        {
            sleep.get_mut().as_mut().reset(deadline);
        }
    }
}

impl Timer for TokioTimer {
    #[inline]
    fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { deadline, sleep } = &mut *self;
        let sleep = sleep.get_or_insert_with(|| Woken::new(Box::pin(sleep_until(*deadline))));
        while Pin::new(&mut *sleep).poll(cx).is_ready() {
            if *deadline <= sleep.get_ref().deadline() {
                return Poll::Ready(());
            }
            sleep.get_mut().as_mut().reset(*deadline);
        }
        Poll::Pending
    }

    fn reset(self: Pin<&mut Self>, after: Duration) {
        self.reset_at(deadline(after).into());
    }
}

/// Returns the time in `after` from now. A time that the clock cannot represent is replaced by one day, which is longer than any
/// stream.
fn deadline(after: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(86_400))
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
