//! Errors of routing: no candidate can serve a request, or all candidates have failed.

use std::fmt;
use std::time::Duration;

use relay_config::ProviderName;
use relay_messages::Unsupported;
use relay_providers::{AttemptError, GuardrailConflict};

use crate::route_trace::RouteTrace;

/// The reason for which no candidate can serve a request, at any time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No provider is configured and enabled.
    #[error("no provider is configured; add one under `providers`")]
    NoProvider,
    /// `routing.strict_models` is set, and no provider lists the model.
    #[error("model: no provider serves `{model}`")]
    UnknownModel {
        /// The model that the client requested.
        model: String,
    },
    /// Every provider passes the client's own credential through, and the request has none.
    #[error(
        "no credential: send one as `x-api-key` or `authorization: Bearer`, or configure a key for a provider"
    )]
    NoCredential,
    /// The client sends a subscription token that may not be served with configured keys, and no provider
    /// passes it through.
    #[error(
        "a subscription token may not be served with configured keys here (server.auth.subscription_may_use_keys), \
         and no provider passes it through"
    )]
    KeysNotAllowed,
    /// No provider serves the request with the guardrail that the client requests.
    #[error("no provider can apply the guardrail of this request: {}", Reasons(conflicts))]
    Guardrail {
        /// The reason of each provider.
        conflicts: Vec<(ProviderName, GuardrailConflict)>,
    },
    /// No provider supports all features of the request.
    #[error("no provider can serve this request: {}", Reasons(unsupported))]
    Unsuitable {
        /// The unsupported feature of each provider.
        unsupported: Vec<(ProviderName, Unsupported)>,
    },
}

/// The reasons of providers, each a clause whose subject is the provider.
struct Reasons<'a, T>(&'a [(ProviderName, T)]);

impl<T: fmt::Display> fmt::Display for Reasons<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (provider, reason)) in self.0.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}`{provider}` {reason}")?;
        }
        Ok(())
    }
}

/// The error of a request that no upstream has answered, with the attempts made.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct RouteError {
    /// The reason.
    #[source]
    pub kind: RouteErrorKind,
    /// The attempts.
    pub trace: RouteTrace,
}

/// The reason for which a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteErrorKind {
    /// No candidate can serve the request.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Every key that could serve the request is at its limit.
    #[error("every key that could serve this request is at its limit; the first is free again in {:.1} s", retry_after.as_secs_f64())]
    Limited {
        /// The time until the first key is free again.
        retry_after: Duration,
    },
    /// The circuit of every provider that could serve the request is open.
    #[error(
        "no provider that could serve this request is working; `{provider}` is tried again in {:.0} s: {reason}",
        retry_after.as_secs_f64().ceil()
    )]
    Failing {
        /// The provider that is tried again first.
        provider: ProviderName,
        /// The failure that opened its circuit.
        reason: String,
        /// The time until it is tried again.
        retry_after: Duration,
    },
    /// An operator has paused every provider that could serve the request, or drains its keys.
    #[error("the operator of the relay has paused every provider or key that could serve this request")]
    Withheld,
    /// Several candidates have failed, and at least one of them is overloaded.
    #[error("every provider that serves the model is overloaded or failing")]
    Overloaded {
        /// The shortest time after which an upstream accepts a retry, if one was reported.
        retry_after: Option<Duration>,
    },
    /// The upstream has rejected the relay's own credential.
    #[error(
        "provider `{provider}` refused the relay's own credential ({status}); its operator has to check the key"
    )]
    CredentialRejected {
        /// The last provider that rejected one.
        provider: ProviderName,
        /// The status of its response.
        status: u16,
    },
    /// The last of several candidates answered with an error that is not in Anthropic's form.
    #[error("provider `{provider}` answered {status}, and not in the form of the Messages API")]
    Foreign {
        /// The provider.
        provider: ProviderName,
        /// The status of its response.
        status: u16,
    },
    /// The last attempt failed without a response.
    #[error("provider `{provider}`: {source}")]
    Attempt {
        /// The provider.
        provider: ProviderName,
        /// The error of the attempt.
        #[source]
        source: AttemptError,
    },
    /// The deadline of the request has passed.
    #[error("no provider began to answer within {} ms", after.as_millis())]
    Timeout {
        /// The limit, `server.timeout_ms`.
        after: Duration,
    },
}
