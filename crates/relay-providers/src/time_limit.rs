//! The time limits of an attempt.

use std::pin::{Pin, pin};
use std::time::Duration;

use relay_transport::QueueTime;
use tokio::time::Instant;

use crate::answer::AttemptError;
use crate::request::Deadline;

/// The time limit up to the response head of an attempt, for all of its requests together. It does not include the relay's own
/// queueing.
pub(crate) struct HeadLimit {
    after: Option<Duration>,
    deadline: Option<Deadline>,
    since: Instant,
    queue: QueueTime,
}

impl HeadLimit {
    /// Starts the limit `after` for the upstream. `deadline` is that of the client's request, which includes the queueing.
    pub(crate) fn begin(after: Option<Duration>, deadline: Option<Deadline>) -> Self {
        Self { after, deadline, since: Instant::now(), queue: QueueTime::default() }
    }

    /// Returns the measure of the relay's own queueing, for [`relay_transport::Transport::send_measured`].
    pub(crate) fn queue(&self) -> &QueueTime {
        &self.queue
    }

    /// Waits for `head` within the limit. It is pinned by the caller: a future that is passed by value is held twice.
    pub(crate) async fn within<T>(
        &self,
        mut head: Pin<&mut impl Future<Output = Result<T, AttemptError>>>,
    ) -> Result<T, AttemptError> {
        let Some(after) = self.after else { return head.await };
        loop {
            let now = Instant::now();
            let Some(end) = now.checked_add(self.left(after, now)) else { return head.await };
            if let Ok(result) = tokio::time::timeout_at(end, head.as_mut()).await {
                return result;
            }
            if self.left(after, Instant::now()).is_zero() {
                return Err(if self.queue.is_waiting() {
                    AttemptError::Saturated(QueueTimeout.into())
                } else {
                    AttemptError::HeadTimeout { after }
                });
            }
        }
    }

    /// Returns the time that is left of the limit at `now`.
    fn left(&self, after: Duration, now: Instant) -> Duration {
        let left = after.saturating_add(self.queue.total()).saturating_sub(now - self.since);
        self.deadline.map_or(left, |deadline| left.min(deadline.remaining_at(now.into_std())))
    }
}

/// The deadline of the client's request was reached in the relay's own queue.
#[derive(Debug, thiserror::Error)]
#[error("the request's time limit was reached while it waited for a free connection")]
struct QueueTimeout;

/// Limits `answer` to the time that is left of the client's request. It is pinned by the caller, as in [`HeadLimit::within`].
pub(crate) async fn in_time<T>(
    deadline: Option<Deadline>,
    answer: Pin<&mut impl Future<Output = Result<T, AttemptError>>>,
) -> Result<T, AttemptError> {
    let Some(deadline) = deadline else { return answer.await };
    // Most answers are complete when their head arrives.
    let answer = relay_transport::in_time(|| deadline.remaining(), answer).await;
    answer.unwrap_or(Err(AttemptError::HeadTimeout { after: deadline.limit() }))
}

/// Limits the time up to a response head.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    head: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    HeadLimit::begin(limit, None).within(pin!(head)).await
}
