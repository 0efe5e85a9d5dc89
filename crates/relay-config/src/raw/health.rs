//! The `health` section of the file.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

/// Circuit breaker and health checks: when a failing upstream is skipped, and when it is used again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Health {
    /// Probes of upstreams whose circuit is open.
    pub(crate) health_check: HealthCheck,
    /// The circuit breaker of each upstream: after failures in a row, the upstream is skipped for a time.
    pub(crate) circuit_breaker: CircuitBreaker,
}

/// Probes of upstreams whose circuit is open. A successful probe half-opens the circuit early.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// Probe upstreams whose circuit is open. Default true; with false, a circuit stays open for all of
    /// `open_duration_ms`.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// Time between two probes of the same upstream, in milliseconds. Default 10000.
    #[schemars(range(min = 100, max = 86_400_000), extend("default" = 10_000))]
    pub(crate) interval_ms: Option<u64>,
}

/// The circuit breaker of each upstream: after failures in a row, the upstream is skipped for a time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CircuitBreaker {
    /// Consecutive failures that open the circuit of an upstream, so that it is skipped. Default 5.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 5))]
    pub(crate) failure_threshold: Option<NonZeroU32>,
    /// Time that a circuit stays open before a request is tried again, in milliseconds. Default 30000.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 30_000))]
    pub(crate) open_duration_ms: Option<u64>,
    /// Consecutive successes that close a half-open circuit. Until then one request at a time is sent. Default 3.
    #[schemars(range(min = 1, max = 1_000), extend("default" = 3))]
    pub(crate) half_open_probes: Option<NonZeroU32>,
}
