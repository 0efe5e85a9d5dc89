//! The time limits of an attempt.

use std::time::Duration;

use tokio::time::Instant;

use crate::answer::AttemptError;
use crate::request::Deadline;

/// The time limit up to the response head of an attempt, for all of its requests together.
pub(crate) struct HeadLimit {
    after: Option<Duration>,
    since: Instant,
}

impl HeadLimit {
    pub(crate) fn begin(after: Option<Duration>) -> Self {
        Self { after, since: Instant::now() }
    }

    pub(crate) async fn within<T>(
        &self,
        head: impl Future<Output = Result<T, AttemptError>>,
    ) -> Result<T, AttemptError> {
        let Some(after) = self.after else { return head.await };
        let left = after.saturating_sub(self.since.elapsed());
        tokio::time::timeout(left, head).await.unwrap_or(Err(AttemptError::HeadTimeout { after }))
    }
}

/// Limits `answer` to the time that is left of the client's request.
pub(crate) async fn in_time<T>(
    deadline: Option<Deadline>,
    answer: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    let Some(deadline) = deadline else { return answer.await };
    let after = deadline.limit();
    tokio::time::timeout(deadline.remaining(), answer)
        .await
        .unwrap_or(Err(AttemptError::HeadTimeout { after }))
}

/// Limits the time up to a response head.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    head: impl Future<Output = Result<T, AttemptError>>,
) -> Result<T, AttemptError> {
    HeadLimit::begin(limit).within(head).await
}
