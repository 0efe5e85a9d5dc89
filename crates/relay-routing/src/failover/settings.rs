//! The limits of failover.

use std::num::NonZeroU32;
use std::time::Duration;

use relay_providers::OnBreak;

/// The limits of failover.
///
/// ```
/// use std::time::Duration;
///
/// use relay_routing::FailoverSettings;
///
/// let settings = FailoverSettings::default().with_failover_timeout(Duration::from_secs(20));
/// assert_eq!(settings.max_attempts.get(), 6);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FailoverSettings {
    /// The time after the first failed attempt during which a further attempt may be started. A running
    /// attempt is not cut. Default 5 s.
    pub failover_timeout: Duration,
    /// The largest number of attempts for one request. Default 6.
    pub max_attempts: NonZeroU32,
    /// The way in which a broken stream ends for the client. Default [`OnBreak::Abort`].
    pub on_break: OnBreak,
}

impl Default for FailoverSettings {
    fn default() -> Self {
        Self {
            failover_timeout: Duration::from_secs(5),
            max_attempts: NonZeroU32::MIN.saturating_add(5),
            on_break: OnBreak::Abort,
        }
    }
}

impl FailoverSettings {
    /// Sets the time after the first failed attempt during which a further attempt may be started.
    #[must_use]
    pub fn with_failover_timeout(mut self, failover_timeout: Duration) -> Self {
        self.failover_timeout = failover_timeout;
        self
    }

    /// Sets the largest number of attempts for one request.
    #[must_use]
    pub fn with_max_attempts(mut self, max_attempts: NonZeroU32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// Sets the way in which a broken stream ends for the client.
    #[must_use]
    pub fn with_on_break(mut self, on_break: OnBreak) -> Self {
        self.on_break = on_break;
        self
    }
}
