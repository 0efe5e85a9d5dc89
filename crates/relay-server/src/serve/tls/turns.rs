//! The turns of handshakes, which keep their computations from delaying other tasks.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};

use relay_stream::body::Woken;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_util::sync::PollSemaphore;

/// The largest number of handshakes that compute before other tasks run.
const AT_ONCE: usize = 4;

/// The turns of the handshakes of a listener.
///
/// The first answer to a client takes a signature and a key exchange. The runtime runs tasks in the order in which they were woken:
/// of a thousand clients that begin at the same time, all would come before the next event of a stream.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Runs `handshake`, each step in a turn. A turn ends once other tasks have run. A handshake that waits for its client has none.
    pub(super) async fn run<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        let has_stepped = AtomicBool::new(false);
        let step = poll_fn(|cx| {
            has_stepped.store(true, Ordering::Relaxed);
            handshake.as_mut().poll(cx)
        });
        // Polls the handshake only after its own events, and not at the end of a turn.
        let mut step = pin!(Woken::new(step));
        let mut turns = PollSemaphore::new(Arc::clone(&self.0));
        loop {
            let next = poll_fn(|cx| {
                let turn = ready!(turns.poll_acquire(cx));
                match step.as_mut().poll(cx) {
                    Poll::Ready(output) => Poll::Ready((turn, Some(output))),
                    _ if has_stepped.swap(false, Ordering::Relaxed) => Poll::Ready((turn, None)),
                    _ => Poll::Pending,
                }
            });
            let (turn, output) = next.await;
            // The tasks that have been woken before run first.
            yield_now().await;
            drop(turn);
            if let Some(output) = output {
                return output;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;

    use super::*;

    #[tokio::test]
    async fn other_tasks_run_between_the_steps_of_many_handshakes() {
        const HANDSHAKES: usize = 100;
        let (turns, steps) = (Arc::new(Turns::default()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..HANDSHAKES {
            let (turns, steps) = (Arc::clone(&turns), Arc::clone(&steps));
            tokio::spawn(async move {
                let handshake = async {
                    for _ in 0..2 {
                        steps.fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                };
                turns.run(handshake).await;
            });
        }
        let mut before = 0;
        // A task that is always ready, and so runs once in each round of the runtime.
        let other = tokio::spawn(poll_fn(move |cx| {
            let now = steps.load(Ordering::Relaxed);
            assert!(now - before <= 2 * AT_ONCE, "{} steps without another task", now - before);
            before = now;
            cx.waker().wake_by_ref();
            if now == 2 * HANDSHAKES { Poll::Ready(()) } else { Poll::Pending }
        }));
        other.await.unwrap();
    }

    #[tokio::test]
    async fn a_handshake_that_waits_for_its_client_has_no_turn() {
        let turns = Turns::default();
        let waiting: Vec<_> = (0..2 * AT_ONCE).map(|_| turns.run(std::future::pending::<()>())).collect();
        let mut waiting = waiting.into_iter().collect::<FuturesUnordered<_>>();
        for _ in 0..4 * AT_ONCE {
            assert!(poll_fn(|cx| Poll::Ready(waiting.poll_next_unpin(cx).is_pending())).await);
            yield_now().await;
        }
        turns.run(std::future::ready(())).await;
        assert_eq!(turns.0.available_permits(), AT_ONCE);
    }
}
