//! `health` in the file.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

/// When an upstream is left alone, and how it comes back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Health {
    /// Probes of upstreams that are left alone.
    pub(crate) health_check: HealthCheck,
    /// When an upstream is left alone, and for how long.
    pub(crate) circuit_breaker: CircuitBreaker,
}

/// Probes of upstreams that are left alone: one that succeeds shortens the time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// Whether there are any.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// Time between two, in milliseconds.
    #[schemars(range(min = 100, max = 86_400_000), extend("default" = 10_000))]
    pub(crate) interval_ms: Option<u64>,
}

/// When an upstream is left alone, and for how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CircuitBreaker {
    /// Failures in a row after which an upstream is left alone.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 5))]
    pub(crate) failure_threshold: Option<NonZeroU32>,
    /// How long it is left alone, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 30_000))]
    pub(crate) open_duration_ms: Option<u64>,
    /// Successes in a row, one request at a time, after which it is used as before.
    #[schemars(range(min = 1, max = 1_000), extend("default" = 3))]
    pub(crate) half_open_probes: Option<NonZeroU32>,
}
