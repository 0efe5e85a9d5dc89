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
            let Some(end) = self.end(after) else { return head.await };
            if let Ok(result) = tokio::time::timeout_at(end, head.as_mut()).await {
                return result;
            }
            if self.end(after).is_some_and(|end| end <= Instant::now()) {
                return Err(if self.queue.is_waiting() {
                    AttemptError::Saturated(QueueTimeout.into())
                } else {
                    AttemptError::HeadTimeout { after }
                });
            }
        }
    }

    /// Returns the end of the limit, as far as the queueing is known. `None` is no end.
    fn end(&self, after: Duration) -> Option<Instant> {
        let limited = self.since.checked_add(after.saturating_add(self.queue.total()));
        [limited, self.deadline.and_then(Deadline::at)].into_iter().flatten().min()
    }

    /// The start of the limit.
    pub(crate) fn since(&self) -> Instant {
        self.since
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
