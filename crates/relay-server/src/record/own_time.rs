//! The time that the relay works at a request.

use std::time::Duration;

use tokio::time::Instant;

/// The time in which the future of a request is polled. Between two polls it waits: for the body of the client, an upstream, a
/// free key or connection, or a thread of the runtime.
#[derive(Debug)]
pub(super) struct OwnTime {
    /// The time of the polls that have ended.
    worked: Duration,
    /// The start of the poll that is under way; `None` between two polls.
    since: Option<Instant>,
}

impl OwnTime {
    /// Begins the first poll of a request that `started` just now.
    pub(super) fn since(started: Instant) -> Self {
        Self { worked: Duration::ZERO, since: Some(started) }
    }

    /// Begins a poll, unless it has begun.
    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Ends a poll.
    pub(super) fn pause(&mut self) {
        self.worked = self.at(Instant::now());
        self.since = None;
    }

    /// The time up to `now`, within a poll.
    pub(super) fn at(&self, now: Instant) -> Duration {
        self.worked + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_time_within_polls_counts() {
        let advance = |ms| tokio::time::advance(Duration::from_millis(ms));
        let mut time = OwnTime::since(Instant::now());
        advance(1).await;
        time.begin();
        advance(2).await;
        time.pause();
        advance(100).await;
        time.begin();
        advance(4).await;
        assert_eq!(time.at(Instant::now()), Duration::from_millis(7));
    }
}
