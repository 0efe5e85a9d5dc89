//! The figures of a step of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

/// The figures of the requests that ended within ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Point {
    /// The start of the step.
    pub unix_ms: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Requests that ended with a status of 500 or more, or whose answer broke off.
    pub errors: u64,
    /// Requests that ended with status 429.
    pub rate_limited: u64,
    /// The largest number of requests under way at one time.
    pub in_flight: u32,
    /// The median of the time to the head of the response.
    pub head_p50_ms: Option<u64>,
    /// The 95th percentile of the time to the head of the response.
    pub head_p95_ms: Option<u64>,
    /// The median of the time to the first content of a streamed answer.
    pub content_p50_ms: Option<u64>,
    /// The 95th percentile of the time to the first content of a streamed answer.
    pub content_p95_ms: Option<u64>,
    /// Input tokens neither read from a cache nor written to one.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to a cache.
    pub cache_write_tokens: u64,
    /// The cost, without attempts whose price is unknown; null if no price is known.
    pub cost_usd: Option<f64>,
    /// True if the cost is at least `cost_usd`, since the prices of some attempts are unknown.
    pub is_cost_partial: bool,
    /// Attempts with tokens whose price is unknown.
    pub unpriced_requests: u64,
    /// The requests that ended, by the provider whose answer the client got.
    pub by_provider: BTreeMap<String, u64>,
}

impl Point {
    /// Creates a point without a request that ended.
    pub(crate) fn empty(unix_ms: u64, in_flight: u32) -> Self {
        Self { unix_ms, in_flight, cost_usd: Some(0.0), ..Self::default() }
    }
}

/// The figures of some minutes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[non_exhaustive]
pub struct SeriesBody {
    /// The time that a point covers.
    pub step_ms: u64,
    /// The points, the oldest first. The last one is not complete.
    #[schema(value_type = Vec<Point>)]
    #[serde(serialize_with = "points")]
    pub points: Vec<Arc<Point>>,
}

impl SeriesBody {
    pub(crate) fn new(step_ms: u64, points: Vec<Arc<Point>>) -> Self {
        Self { step_ms, points }
    }
}

fn points<S: serde::Serializer>(points: &[Arc<Point>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(points.iter().map(|point| &**point))
}
