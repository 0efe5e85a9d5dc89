//! The `health` settings: circuit breaker and health checks.

use std::num::NonZeroU32;
use std::time::Duration;

/// The circuit breaker of each upstream, and the probes while its circuit is open.
#[derive(Debug, Clone, PartialEq)]
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
