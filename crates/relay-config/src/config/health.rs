//! The `health` settings: circuit breaker and health checks.

use std::num::NonZeroU32;
use std::time::Duration;

/// The circuit breaker of each upstream, and the probes while its circuit is open.
///
/// ```
/// use std::time::Duration;
/// use relay_config::HealthConfig;
///
/// let health = HealthConfig::default().with_check(None).with_open_duration(Duration::from_secs(10));
/// assert_eq!(health.failure_threshold.get(), 5);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// The time between two probes of an upstream whose circuit is open; `None` disables probes. Default 10 s.
    pub check: Option<Duration>,
    /// The consecutive failures that open a circuit. Default 5.
    pub failure_threshold: NonZeroU32,
    /// The time that a circuit stays open. Default 30 s.
    pub open_duration: Duration,
    /// The consecutive successes that close a half-open circuit; until then one request at a time is sent. Default
    /// 3.
    pub half_open_probes: NonZeroU32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            check: Some(Duration::from_secs(10)),
            failure_threshold: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            open_duration: Duration::from_secs(30),
            half_open_probes: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl HealthConfig {
    /// Sets the time between two probes of an upstream whose circuit is open; `None` disables probes.
    #[must_use]
    pub fn with_check(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.check = interval.into();
        self
    }

    /// Sets the consecutive failures that open a circuit.
    #[must_use]
    pub fn with_failure_threshold(mut self, failures: NonZeroU32) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// Sets the time that a circuit stays open.
    #[must_use]
    pub fn with_open_duration(mut self, duration: Duration) -> Self {
        self.open_duration = duration;
        self
    }

    /// Sets the consecutive successes that close a half-open circuit.
    #[must_use]
    pub fn with_half_open_probes(mut self, successes: NonZeroU32) -> Self {
        self.half_open_probes = successes;
        self
    }
}
