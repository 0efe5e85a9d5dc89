//! The refusal of a request, and the errors of requests that were permitted.

use std::time::Duration;

use relay_messages::RateLimits;
use tower::BoxError;

/// The refusal of a request beyond a limit of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of this client is reached ({kind}: {limit}); try again in {} s", self.retry_seconds())]
#[non_exhaustive]
pub struct RateLimited {
    /// The limit that is reached.
    pub kind: LimitKind,
    /// The amount of that limit.
    pub limit: u64,
    /// The time until the request would be permitted.
    pub retry_after: Duration,
    /// All limits of the client, for the headers of the answer.
    pub limits: RateLimits,
}

impl RateLimited {
    /// The value of `retry-after`: whole seconds, at least 1. Claude Code reads nothing else.
    #[must_use]
    pub fn retry_seconds(&self) -> u64 {
        // Times are rounded up to a nanosecond, which must not become a second.
        (self.retry_after.as_millis().div_ceil(1000) as u64).max(1)
    }
}

/// A limit of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Requests in flight.
    Concurrent,
}

impl std::fmt::Display for LimitKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests per minute",
            Self::Tokens => "tokens per minute",
            Self::Concurrent => "requests at one time",
        })
    }
}

/// An error of the inner service for a request of a limited client, with the limits for the headers of the answer.
#[derive(Debug, thiserror::Error)]
#[error("a request within the limits of its client failed")]
#[non_exhaustive]
pub struct LimitsError {
    /// The limits of the client.
    pub limits: RateLimits,
    /// The error.
    pub source: BoxError,
}
