//! The answer of an upstream: its response, and the meaning for routing.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use relay_messages::{RateLimits, error_sources};
pub use relay_transport::{AnswerBody, AnswerBodyError};
use relay_transport::{FetchError, SendError, is_about_certificate};
use tower::BoxError;

use crate::answer_stats::AnswerStats;
use crate::outcome::Outcome;
use crate::provider::{AuthorizeError, PrepareError};

/// An upstream's answer.
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use relay_providers::{Answer, AnswerBody, Outcome};
///
/// let body = AnswerBody::from(Bytes::from(r#"{"type":"message","content":[]}"#));
/// let answer = Answer::new(Outcome::Success, Response::new(body));
/// assert_eq!(answer.response.status(), 200);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The meaning for routing.
    pub outcome: Outcome,
    /// The response for the client, if this answer is the final one. Headers of the connection are removed.
    pub response: Response<AnswerBody>,
    /// `true` for an error in another form than that of the Messages API: a gateway's page, a text, another API's JSON.
    pub is_foreign_error: bool,
    /// `true` if the upstream rejects the credential because of its account, which cannot pay or is disabled. Every other key
    /// of the account is rejected alike.
    pub is_account_rejected: bool,
    /// `true` if the body is a stream: its head left the upstream before its tokens were used.
    pub is_stream: bool,
    /// The rate limits of the credential, from the response headers.
    pub limits: RateLimits,
    /// The statistics of the body so far.
    pub stats: AnswerStats,
}

impl Answer {
    /// Creates an answer in the form of the Messages API, without rate limits and without statistics of its body.
    #[must_use]
    pub fn new(outcome: Outcome, response: Response<AnswerBody>) -> Self {
        Self::with_stats(outcome, response, AnswerStats::default())
    }

    /// Creates the answer of [`new`](Self::new) with the statistics of its body.
    pub(crate) fn with_stats(outcome: Outcome, response: Response<AnswerBody>, stats: AnswerStats) -> Self {
        let limits = RateLimits::default();
        let (is_foreign_error, is_account_rejected, is_stream) = (false, false, false);
        Self { outcome, response, is_foreign_error, is_account_rejected, is_stream, limits, stats }
    }

    /// Replaces the body of the response by the result of `map`.
    #[must_use]
    pub fn map_body(self, map: impl FnOnce(AnswerBody) -> AnswerBody) -> Self {
        Self { response: self.response.map(map), ..self }
    }
}

/// The boxed future of an attempt.
pub(crate) type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, AttemptError>> + Send>>;

/// The reason for an attempt without any answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No connection could be made: refused, unreachable, no such name, TLS, or too slow.
    #[error("cannot connect to the upstream")]
    Connect(#[source] BoxError),
    /// The relay itself has no free connection to the upstream: its limit of connections or of open files is reached. The
    /// upstream is not at fault.
    #[error("the relay has no free connection to the upstream")]
    Saturated(#[source] BoxError),
    /// The connection failed before the response head.
    #[error("the upstream closed the connection before it answered")]
    Transport(#[source] BoxError),
    /// The response head did not come in time.
    #[error("the upstream did not begin to answer within {} ms", after.as_millis())]
    HeadTimeout {
        /// The time limit.
        after: Duration,
    },
    /// An answer broke off, ended or could not be read before its first content. The client has received nothing of it.
    #[error("{}", broken(.0))]
    Broken(#[source] AnswerBodyError),
    /// The upstream answered with a redirect. The relay does not follow it, since the credential would go elsewhere.
    #[error("the upstream answered {status} and points elsewhere; set base_url to where it really is")]
    Redirect {
        /// A status of the 3xx class.
        status: http::StatusCode,
    },
    /// The upstream answered with a status that is no answer to a request.
    #[error("the upstream answered with the status {status}, which is no answer to this request")]
    Status {
        /// A status outside of the classes 2xx to 5xx, or 304.
        status: http::StatusCode,
    },
    /// The request could not be written for this upstream.
    #[error("the request cannot be prepared for this upstream")]
    Prepare(#[from] PrepareError),
    /// An image that the request names by URL cannot be fetched, and the upstream accepts no image by URL.
    #[error("an image of the request cannot be fetched")]
    Image(#[source] Arc<FetchError>),
    /// There is no valid credential.
    #[error("no credential is valid for this upstream")]
    Authorize(#[from] AuthorizeError),
    /// A scripted upstream failed, as its script demands.
    #[error("the mock upstream refused on request")]
    Scripted,
}

impl From<SendError> for AttemptError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(source) => Self::Connect(source),
            SendError::Saturated(source) => Self::Saturated(source),
            SendError::Exchange(source) => Self::Transport(source),
            other => Self::Transport(other.into()),
        }
    }
}

impl AttemptError {
    /// Returns `true` if the same request fails again until an operator changes a setting: a credential, an address, or the
    /// trusted authorities.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Redirect { .. } | Self::Prepare(_) => true,
            Self::Authorize(error) => !matches!(error, AuthorizeError::Unavailable(_)),
            Self::Connect(cause) => is_about_certificate(&**cause),
            _ => false,
        }
    }

    /// The error and its causes in one line, without those that do not help.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        self.to_string() + &self.causes()
    }

    /// The causes that help, as a suffix for the error's own message. Begins with `: `; empty if there are none.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut add = |cause: &dyn Error| {
            let cause = cause.to_string();
            text.push_str(": ");
            // rustls ends the message about a connection without `close_notify` with the URL of its manual.
            text.push_str(cause.split_once(": https://").map_or(&*cause, |(message, _)| message));
        };
        if let Self::Authorize(error) = self
            && let Some(token) = error.source().filter(|token| token.source().is_some())
        {
            // Without it, "Connection refused" would seem to be about the upstream.
            add(token);
        }
        if let Self::Image(fetch) = self
            && fetch.source().is_some()
        {
            // It names the host.
            add(&**fetch);
        }
        // The innermost cause ("Connection refused") helps; the layers of libraries around it do not.
        if let Some(cause) = error_sources(self).last() {
            add(cause);
        }
        text
    }

    /// Returns `true` if a part of the request may have reached the upstream.
    #[must_use]
    pub fn may_be_sent(&self) -> bool {
        !matches!(
            self,
            Self::Prepare(_) | Self::Image(_) | Self::Authorize(_) | Self::Connect(_) | Self::Saturated(_)
        )
    }

    /// The name of the error in logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Saturated(_) => "saturated",
            Self::Transport(_) => "transport",
            Self::HeadTimeout { .. } => "head_timeout",
            Self::Broken(_) => "broken",
            Self::Redirect { .. } => "redirect",
            Self::Status { .. } => "status",
            Self::Prepare(_) => "prepare",
            Self::Image(_) => "image",
            Self::Authorize(_) => "authorize",
            Self::Scripted => "scripted",
        }
    }
}

fn broken(error: &AnswerBodyError) -> &'static str {
    match error {
        AnswerBodyError::Malformed(_) => "the upstream's answer cannot be read",
        _ => "the upstream's answer broke off before its first content",
    }
}

/// Refuses a status that is no answer to a request: a redirect would take the client's request and the credential to a place
/// that is not configured, and the others have no meaning here (101, 304, 600 and above).
///
/// # Errors
/// [`AttemptError::Redirect`] for a status of the 3xx class except 304, [`AttemptError::Status`] for the others.
pub(crate) fn refuse_status(status: StatusCode) -> Result<(), AttemptError> {
    match status.as_u16() {
        200..300 | 400..600 => Ok(()),
        300..400 if status != StatusCode::NOT_MODIFIED => Err(AttemptError::Redirect { status }),
        _ => Err(AttemptError::Status { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_have_a_status_that_is_accepted() {
        #[track_caller]
        fn check(status: u16, expected: &str) {
            let result = refuse_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(result.map_or_else(|error| error.as_str(), |()| "accepted"), expected, "{status}");
        }
        for status in [200, 204, 206, 299, 400, 418, 499, 500, 529, 599] {
            check(status, "accepted");
        }
        for status in [300, 301, 302, 303, 305, 307, 308, 399] {
            check(status, "redirect");
        }
        for status in [100, 101, 103, 199, 304, 600, 700, 999] {
            check(status, "status");
        }
    }

    #[test]
    fn the_cause_is_shown_without_the_url_of_a_manual() {
        let cause = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/#unexpected-eof";
        let error = AttemptError::Transport(std::io::Error::other(cause).into());
        let expected = "the upstream closed the connection before it answered: peer closed connection without sending TLS \
                        close_notify";
        assert_eq!(error.in_one_line(), expected);
    }
}
