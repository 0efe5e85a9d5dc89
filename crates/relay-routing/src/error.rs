//! Why a request has no answer of an upstream's.

use std::fmt;
use std::time::Duration;

use relay_config::ProviderName;
use relay_messages::Unsupported;
use relay_providers::AttemptError;

use crate::route_trace::RouteTrace;

/// Why there is nothing to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No provider is configured and enabled.
    #[error("no provider is configured; add one under `providers`")]
    NoProvider,
    /// `routing.strict_models`, and no provider lists the model.
    #[error("model: no provider serves `{model}`")]
    UnknownModel {
        /// As the client wrote it.
        model: String,
    },
    /// Every provider passes the client's own credential through, and there is none.
    #[error(
        "no credential: send one as `x-api-key` or `authorization: Bearer`, or configure a key for a provider"
    )]
    NoCredential,
    /// The client brings a subscription alone, which only pass-through providers can use.
    #[error(
        "a subscription token may not be served with configured keys here (server.auth.subscription_may_use_keys), \
         and no provider passes it through"
    )]
    KeysNotAllowed,
    /// No provider supports everything that the request needs.
    #[error("no provider can serve this request: {}", AllUnsupported(unsupported))]
    Unsuitable {
        /// Each provider, with the part of the request that it does not support.
        unsupported: Vec<(ProviderName, Unsupported)>,
    },
}

struct AllUnsupported<'a>(&'a [(ProviderName, Unsupported)]);

impl fmt::Display for AllUnsupported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (provider, unsupported)) in self.0.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}`{provider}` {unsupported}")?;
        }
        Ok(())
    }
}

/// Why a request has no answer, and what was tried.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct RouteError {
    /// Why.
    #[source]
    pub kind: RouteErrorKind,
    /// What was tried before.
    pub trace: RouteTrace,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteErrorKind {
    /// There was nothing to try.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Every key that could serve the request is at its limit.
    #[error("every key that could serve this request is at its limit; the first is free again in {:.1} s", retry_after.as_secs_f64())]
    Limited {
        /// When the first is free again.
        retry_after: Duration,
    },
    /// Every provider that could serve the request is failing, and left alone for a while.
    #[error(
        "no provider that could serve this request is working; `{provider}` is asked again in {:.0} s: {reason}",
        retry_after.as_secs_f64().ceil()
    )]
    Failing {
        /// The one that is asked again first.
        provider: ProviderName,
        /// Why it is left alone.
        reason: String,
        /// When that is.
        retry_after: Duration,
    },
    /// Several candidates were tried, and at least one has no capacity left for the model.
    #[error("every provider that serves the model is overloaded or failing")]
    Overloaded {
        /// The soonest that an upstream wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No upstream accepted the credential that the relay is configured with.
    #[error(
        "provider `{provider}` refused the relay's own credential ({status}); its operator has to check the key"
    )]
    CredentialRejected {
        /// The last that refused.
        provider: ProviderName,
        /// What it answered.
        status: u16,
    },
    /// The last of several candidates answered with an error that clients cannot read.
    #[error("provider `{provider}` answered {status}, and not in the form of the Messages API")]
    Foreign {
        /// Which one.
        provider: ProviderName,
        /// What it answered.
        status: u16,
    },
    /// The last candidate gave no answer.
    #[error("provider `{provider}`: {source}")]
    Attempt {
        /// Which one.
        provider: ProviderName,
        /// Why.
        #[source]
        source: AttemptError,
    },
    /// `server.timeout_ms` was over.
    #[error("no provider began to answer within {} ms", after.as_millis())]
    Timeout {
        /// `server.timeout_ms`.
        after: Duration,
    },
}
