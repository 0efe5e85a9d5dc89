//! How an answer came about.

use std::sync::Arc;
use std::time::Duration;

use relay_config::{ProviderName, Strategy};

use crate::candidate::Credential;

/// The attempts at one request, in order.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The model that the client asked for.
    pub model: Arc<str>,
    /// How the candidates were ordered.
    pub strategy: Strategy,
    /// What was tried; bounded by `routing.max_attempts`.
    pub attempts: Vec<AttemptRecord>,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Who was asked.
    pub provider: ProviderName,
    /// With what.
    pub credential: Credential,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The outcome in a word, such as `success`, `rate_limited` or `connect`.
    pub result: &'static str,
    /// Time up to the response head, or to the failure.
    pub latency: Duration,
}
