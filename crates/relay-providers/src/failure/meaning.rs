//! The outcome that a rule states, and the places in an error that state the time to wait.

use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use relay_messages::RateLimits;
use relay_messages::retry_after::{self, RETRY_AFTER_MS};

use super::UpstreamError;
use crate::outcome::{LimitScope, Outcome};

/// `false` if a retry is of no use, `true` if it may succeed at once.
pub(super) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The outcome that a rule states. A time to wait is still to be read from the error.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Meaning {
    /// [`Outcome::Refused`].
    Refused,
    /// [`Outcome::RateLimited`] with this extent, and the time to wait from these places.
    Limited(Scope, Wait),
    /// [`Outcome::Overloaded`] with the time to wait from these places.
    Overloaded(Wait),
    /// [`Outcome::ModelUnavailable`].
    ModelUnavailable,
    /// [`Outcome::ModelFailed`].
    ModelFailed,
    /// [`Outcome::CredentialRejected`] for one credential alone.
    CredentialRejected,
    /// [`Outcome::CredentialRejected`] for every credential of the account: it cannot pay, or it is disabled.
    AccountRejected,
    /// [`Outcome::Failed`].
    Failed,
    /// [`Outcome::Unsupported`].
    Unsupported,
}

/// The extent of a limit.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Scope {
    /// The key, and with it the other keys of its organization.
    Key,
    /// This one request.
    Request,
    /// The model if the upstream states a time to wait, or else the request. For upstreams that limit each model by itself.
    ModelIfTimed,
    /// The key if a header or a time to wait names a limit, unless the upstream states that a retry may succeed at once.
    AsStated,
}

/// The places that state the time to wait. A header always comes first.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Wait {
    /// `retry-after-ms` and `retry-after`.
    Headers,
    /// `google.rpc.RetryInfo` among the details.
    RetryInfo,
    /// The rate-limit headers of a limit that is used up, then a duration in the message.
    LimitsOrMessage,
    /// A date and time in the message, in the time zone so far east of UTC; or else `otherwise`.
    DateInMessage {
        /// The offset of the time zone from UTC, to the east.
        east: Duration,
        /// The time to wait if the message has no date.
        otherwise: Option<Duration>,
    },
    /// The relay's own pause. It replaces a time that the upstream states, and the client does not get it.
    Pause(Duration),
}

impl Meaning {
    pub(super) fn outcome(self, error: &UpstreamError) -> Outcome {
        match self {
            Self::Refused => Outcome::Refused,
            Self::Limited(scope, wait) => {
                let retry_after = wait.read(error);
                Outcome::RateLimited { retry_after, scope: scope.read(error, retry_after) }
            }
            Self::Overloaded(wait) => Outcome::Overloaded { retry_after: wait.read(error) },
            Self::ModelUnavailable => Outcome::ModelUnavailable,
            Self::ModelFailed => Outcome::ModelFailed,
            Self::CredentialRejected | Self::AccountRejected => Outcome::CredentialRejected,
            Self::Failed => Outcome::Failed,
            Self::Unsupported => Outcome::Unsupported,
        }
    }

    /// Returns `true` if the time to wait is the relay's own choice.
    pub(super) fn is_own_pause(self) -> bool {
        matches!(self, Self::Limited(_, Wait::Pause(_)) | Self::Overloaded(Wait::Pause(_)))
    }
}

impl Scope {
    fn read(self, error: &UpstreamError, retry_after: Option<Duration>) -> LimitScope {
        let headers = error.headers();
        let is_of_key = match self {
            Self::Key => true,
            Self::Request => false,
            Self::ModelIfTimed if retry_after.is_some() => return LimitScope::Model,
            Self::ModelIfTimed => false,
            Self::AsStated => {
                let names_limit = retry_after.is_some()
                    || headers.contains_key(RETRY_AFTER)
                    || headers.contains_key(RETRY_AFTER_MS)
                    || headers.keys().any(|name| name.as_str().starts_with("anthropic-ratelimit-"));
                names_limit && headers.get(X_SHOULD_RETRY).is_none_or(|value| value != "true")
            }
        };
        if is_of_key { LimitScope::Key } else { LimitScope::Request }
    }
}

impl Wait {
    fn read(self, error: &UpstreamError) -> Option<Duration> {
        let headers = error.headers();
        if let Self::Pause(pause) = self {
            return Some(pause);
        }
        retry_after::from_headers(headers).or_else(|| match self {
            Self::Headers | Self::Pause(_) => None,
            Self::RetryInfo => retry_info(error),
            Self::LimitsOrMessage => RateLimits::read(headers)
                .exhausted_for()
                .or_else(|| retry_after::from_phrase(error.message()?)),
            Self::DateInMessage { east, otherwise } => {
                let stated =
                    error.message().and_then(|message| retry_after::from_time_in(message, east, headers));
                stated.or(otherwise)
            }
        })
    }
}

/// Reads `retryDelay`, such as `1.5s`, of a `google.rpc.RetryInfo`.
fn retry_info(error: &UpstreamError) -> Option<Duration> {
    let details = error.member_in_list(&["error", "details"])?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s'))?;
    Duration::try_from_secs_f64(delay.parse().ok()?).ok()
}
