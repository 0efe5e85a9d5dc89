//! Resolves the `health` section.

use std::time::Duration;

use crate::config::HealthConfig;
use crate::raw;
use crate::resolve::reporter::millis;

pub(super) fn resolve(raw: raw::Health) -> HealthConfig {
    let default = HealthConfig::default();
    let (check, breaker) = (raw.health_check, raw.circuit_breaker);
    HealthConfig {
        check: match check.enabled {
            Some(false) => None,
            _ => check.interval_ms.map(Duration::from_millis).or(default.check),
        },
        failure_threshold: breaker.failure_threshold.unwrap_or(default.failure_threshold),
        open_duration: millis(breaker.open_duration_ms, default.open_duration),
        half_open_probes: breaker.half_open_probes.unwrap_or(default.half_open_probes),
    }
}
