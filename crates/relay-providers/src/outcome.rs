//! The meaning of an upstream's answer for routing.

use std::time::Duration;

/// The meaning of an answer for failover and for the health of the key, the model and the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The upstream answers the request.
    Success,
    /// The request itself is at fault. Every other upstream would refuse it too.
    Refused,
    /// A limit is used up.
    RateLimited {
        /// The time until the upstream takes requests again, if it is known.
        retry_after: Option<Duration>,
        /// The extent of the limit.
        scope: LimitScope,
    },
    /// The upstream has no capacity left for the model at the moment.
    Overloaded {
        /// The time until the upstream takes requests again, if it is known.
        retry_after: Option<Duration>,
    },
    /// The model does not exist at the upstream, or is not available to this account or on this machine.
    ModelUnavailable,
    /// The upstream failed to run this one model. Its other models are not affected.
    ModelFailed,
    /// The upstream does not accept the configured credential, or its account cannot pay.
    CredentialRejected,
    /// The upstream itself failed.
    Failed,
    /// The upstream does not have this operation at all.
    Unsupported,
}

impl Outcome {
    /// Returns `true` if another upstream may be tried after this one.
    #[must_use]
    pub fn may_fail_over(self) -> bool {
        !matches!(self, Self::Success | Self::Refused)
    }

    /// The time until the upstream takes requests again, if it is known.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after } => retry_after,
            _ => None,
        }
    }

    /// The name of the outcome in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::ModelUnavailable => "model_unavailable",
            Self::ModelFailed => "model_failed",
            Self::CredentialRejected => "credential_rejected",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The extent of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitScope {
    /// The key, and with it the other keys of its organization.
    Key,
    /// The model at this provider. Other models have separate limits.
    Model,
    /// This one request: the upstream names no limit, or states that the request may be retried at once.
    Request,
}
