//! How an answer came about.

use std::sync::Arc;
use std::time::Duration;

use relay_config::{ProviderName, Strategy};
use relay_providers::Progress;
use tokio::time::Instant;

use crate::candidate::Credential;
use crate::health::CircuitState;

/// The attempts at one request, in order.
#[derive(Debug, Clone)]
pub struct RouteTrace {
    /// The model that the client asked for.
    pub model: Arc<str>,
    /// How the candidates were ordered.
    pub strategy: Strategy,
    /// What was tried; bounded by `routing.max_attempts`.
    pub attempts: Vec<AttemptRecord>,
    /// The circuit of the provider whose answer it is.
    pub health: Option<CircuitState>,
    /// What the final answer has told so far; everything, once its body is gone.
    pub progress: Progress,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Who was asked.
    pub provider: ProviderName,
    /// With what.
    pub credential: Credential,
    /// For which model, as the provider calls it.
    pub model: Box<str>,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The outcome in a word, such as `success`, `rate_limited` or `connect`.
    pub result: &'static str,
    /// Why there is no response, in full.
    pub error: Option<String>,
    /// When it began.
    pub started: Instant,
    /// Time up to the response head, or to the failure.
    pub latency: Duration,
}
