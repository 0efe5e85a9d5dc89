//! The time limit of a future that is mostly ready at once.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Waits for `future` for at most `limit`. Returns `None` after that.
///
/// A future that is ready at its first poll makes no timer, and `limit` is not called. Otherwise the time counts from that poll.
pub async fn in_time<F: Future>(limit: impl FnOnce() -> Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        return Some(output);
    }
    tokio::time::timeout(limit(), future).await.ok()
}
