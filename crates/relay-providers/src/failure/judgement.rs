//! The meaning of a failure.

use std::time::Duration;

use relay_messages::ApiError;

use crate::outcome::Outcome;

/// The meaning of an [`UpstreamError`](super::UpstreamError), for routing and for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// The meaning for failover and for the health of key, model and provider.
    pub outcome: Outcome,
    /// `true` if the upstream rejects the credential because of its account, which cannot pay or is disabled. Every other
    /// credential of the account is rejected alike.
    pub is_account_rejected: bool,
    /// `true` if a new credential may be accepted. Read only after a status of 401 or 403, and once per attempt.
    pub renew_credential: bool,
    /// The error in Anthropic's form, so that the client's own recovery works. `None` leaves an error in Anthropic's form
    /// as it is. An error of another form is then translated as far as it can be read.
    pub api_error: Option<ApiError>,
    /// The time after which the client may retry, if no header of the response states it.
    pub retry_after: Option<Duration>,
}

impl Judgement {
    /// Creates the judgement of `outcome`: the account is not rejected, no new credential helps, and the error of the
    /// upstream is not replaced.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        let (is_account_rejected, renew_credential) = (false, false);
        let retry_after = outcome.retry_after();
        Self { outcome, is_account_rejected, renew_credential, api_error: None, retry_after }
    }
}
