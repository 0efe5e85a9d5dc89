//! The record of the attempts at one request.

use std::sync::Arc;
use std::time::Duration;

use relay_config::{ProviderName, Strategy};
use relay_providers::AnswerStats;
use tokio::time::Instant;

use crate::candidate::CredentialId;
use crate::health::CircuitState;

/// The attempts at one request, in order, for the log and the debug headers.
#[derive(Debug, Clone)]
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

/// The record of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The provider.
    pub provider: ProviderName,
    /// The credential.
    pub credential: CredentialId,
    /// The provider's name of the model.
    pub model: Box<str>,
    /// The status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// The outcome in one word, such as `success`, `rate_limited` or `connect`.
    pub result: &'static str,
    /// The reason for which there is no response, with its causes.
    pub error: Option<String>,
    /// The time at which it started.
    pub started: Instant,
    /// The time from the start to the response head, or to the failure.
    pub latency: Duration,
}
