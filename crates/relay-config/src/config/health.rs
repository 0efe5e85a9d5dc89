//! `health`: when an upstream is left alone, and how it comes back.

use std::num::NonZeroU32;
use std::time::Duration;

/// When an upstream is left alone, and how it comes back.
#[derive(Debug, Clone)]
pub struct HealthConfig {
    /// Time between two probes of an upstream that is left alone; `None` is without probes. Default 10 s.
    pub check: Option<Duration>,
    /// Failures in a row after which an upstream is left alone. Default 5.
    pub failure_threshold: NonZeroU32,
    /// For how long. Default 30 s.
    pub open_duration: Duration,
    /// Successes in a row, one request at a time, after which it is used as before. Default 3.
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
