//! The meaning of a failure.

use std::time::Duration;

use relay_messages::ApiError;

use crate::outcome::Outcome;

/// The meaning of an [`UpstreamError`](super::UpstreamError), for routing and for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The meaning for failover and for the health of key, model and provider.
    pub outcome: Outcome,
    /// `true` if a new credential may be accepted. Read only after a status of 401 or 403, and once per attempt.
    pub renew_credential: bool,
    /// The error in Anthropic's words, so that the client's own recovery works. `None` leaves an error in Anthropic's form
    /// as it is; an error of another form is then translated as far as it can be read.
    pub api_error: Option<ApiError>,
    /// The time after which the client may retry, if no header of the response states it.
    pub retry_after: Option<Duration>,
}

impl Judgement {
    /// The judgement of an outcome alone: no new credential helps, and the words of the upstream stay.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, renew_credential: false, api_error: None, retry_after: outcome.retry_after() }
    }
}
