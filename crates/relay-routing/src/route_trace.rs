//! The record of the attempts at one request.

use std::sync::Arc;

use relay_config::Strategy;
use relay_providers::AnswerStats;

use crate::attempt_log::AttemptRecord;
use crate::health::CircuitState;

/// The attempts at one request, in order, for the log and the debug headers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouteTrace {
    /// The model that the client requested.
    pub model: Arc<str>,
    /// The strategy that ordered the candidates.
    pub strategy: Strategy,
    /// The attempts; at most `routing.max_attempts`.
    pub attempts: Vec<AttemptRecord>,
    /// The circuit of the last attempt's provider, after that attempt. `None` if there was no attempt.
    pub circuit: Option<CircuitState>,
    /// The statistics of the final answer. It is complete once the answer's body is dropped.
    pub answer_stats: AnswerStats,
}
