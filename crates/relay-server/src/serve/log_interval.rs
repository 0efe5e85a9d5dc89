//! A limit of log lines that repeat themselves.

use std::time::Duration;

use tokio::time::Instant;

/// Limits log lines that repeat themselves.
#[derive(Debug)]
pub(super) struct LogInterval {
    shortest: Duration,
    last: Option<Instant>,
}

impl LogInterval {
    /// `shortest` is the shortest time between two lines.
    pub(super) fn new(shortest: Duration) -> Self {
        Self { shortest, last: None }
    }

    /// Returns `true` if the line has not been logged for a while. The caller then logs it.
    pub(super) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= self.shortest);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_logged_once_in_an_interval() {
        let minute = Duration::from_secs(60);
        let mut interval = LogInterval::new(minute);
        assert!(interval.is_due());
        assert!(!interval.is_due());
        tokio::time::advance(minute).await;
        assert!(interval.is_due());
    }
}
