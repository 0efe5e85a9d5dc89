//! What travels up: an upstream's response, and what it means.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use relay_messages::RateLimits;
pub use relay_transport::{ResponseBody as AnswerBody, ResponseBodyError as BodyError};
use relay_transport::{SendError, is_about_certificate};
use tower::BoxError;

use crate::answer_stats::AnswerStats;
use crate::fetch::FetchError;
use crate::outcome::Outcome;
use crate::provider::{AuthorizeError, PrepareError};

/// An upstream's answer.
#[derive(Debug)]
pub struct Answer {
    /// What it means for routing.
    pub outcome: Outcome,
    /// What the client gets, should this answer be the final one. Headers of the connection are gone.
    pub response: Response<AnswerBody>,
    /// It is an error, and not in the form of the Messages API: a gateway's page, a text, another API's JSON.
    pub is_foreign_error: bool,
    /// What its headers say of the credential's limits.
    pub limits: RateLimits,
    /// What its body has told so far.
    pub stats: AnswerStats,
}

impl Answer {
    /// An answer in the form of the Messages API that says nothing of limits, and whose body is not watched.
    #[must_use]
    pub fn new(outcome: Outcome, response: Response<AnswerBody>) -> Self {
        let (limits, stats) = (RateLimits::default(), AnswerStats::default());
        Self { outcome, response, is_foreign_error: false, limits, stats }
    }
}

/// Why an attempt has no answer at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No connection could be made: refused, unreachable, no such name, TLS, or too slow.
    #[error("cannot connect to the upstream")]
    Connect(#[source] BoxError),
    /// The connection failed before the response head.
    #[error("the upstream closed the connection before it answered")]
    Transport(#[source] BoxError),
    /// The response head did not come in time.
    #[error("the upstream did not begin to answer within {} ms", after.as_millis())]
    HeadTimeout {
        /// How long it had.
        after: Duration,
    },
    /// A stream broke off, or ended, before its first content: nothing of it has gone to the client.
    #[error("the upstream's answer broke off before its first content")]
    Broken(#[source] BodyError),
    /// The upstream answered with a redirect, which the relay does not follow: it would take credentials elsewhere.
    #[error("the upstream answered {status} and points elsewhere; set base_url to where it really is")]
    Redirect {
        /// A status of the 3xx class.
        status: http::StatusCode,
    },
    /// The request could not be written for this upstream.
    #[error("the request cannot be prepared for this upstream")]
    Prepare(#[from] PrepareError),
    /// An image that the request names by its URL cannot be fetched for an upstream that takes none by URL.
    #[error("an image of the request cannot be fetched")]
    Image(#[source] Arc<FetchError>),
    /// There is no valid credential.
    #[error("no credential is valid for this upstream")]
    Authorize(#[from] AuthorizeError),
    /// A scripted upstream failed as it was told to.
    #[error("the mock upstream refused on request")]
    Scripted,
}

impl From<SendError> for AttemptError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(source) => Self::Connect(source),
            SendError::Exchange(source) => Self::Transport(source),
        }
    }
}

impl AttemptError {
    /// Whether the same request would fail again until somebody changes a setting: a credential, an address, the
    /// authorities that are trusted.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Redirect { .. } | Self::Prepare(_) => true,
            Self::Authorize(error) => !matches!(error, AuthorizeError::Unavailable(_)),
            Self::Connect(cause) => is_about_certificate(&**cause),
            _ => false,
        }
    }

    /// The error with what helps of its causes.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        self.to_string() + &self.causes()
    }

    /// What helps of its causes, to be put behind its own message.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut add = |cause: &dyn Error| {
            text.push_str(": ");
            text.push_str(&cause.to_string());
        };
        if let Self::Authorize(error) = self
            && let Some(token) = error.source().filter(|token| token.source().is_some())
        {
            // Without it "Connection refused" would be taken for the upstream's.
            add(token);
        }
        if let Self::Image(fetch) = self
            && fetch.source().is_some()
        {
            // It names the host.
            add(&**fetch);
        }
        // The innermost cause ("Connection refused") is what helps; the libraries' layers around it do not.
        let mut cause = self.source();
        while let Some(next) = cause.and_then(Error::source) {
            cause = Some(next);
        }
        if let Some(cause) = cause {
            add(cause);
        }
        text
    }

    /// Whether something of the request may have reached the upstream.
    #[must_use]
    pub fn may_be_sent(&self) -> bool {
        !matches!(self, Self::Prepare(_) | Self::Image(_) | Self::Authorize(_) | Self::Connect(_))
    }

    /// The error in a word, for logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Transport(_) => "transport",
            Self::HeadTimeout { .. } => "head_timeout",
            Self::Broken(_) => "broken",
            Self::Redirect { .. } => "redirect",
            Self::Prepare(_) => "prepare",
            Self::Image(_) => "image",
            Self::Authorize(_) => "authorize",
            Self::Scripted => "scripted",
        }
    }
}

/// A redirect would take the client, and the credential it is asked with, to a place that nobody configured.
pub(crate) fn refuse_redirect(status: StatusCode) -> Result<(), AttemptError> {
    // 304 answers a condition of the client's and points nowhere.
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(AttemptError::Redirect { status });
    }
    Ok(())
}
