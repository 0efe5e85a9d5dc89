//! What each kind of upstream has to say for itself.

use std::future::{Future, ready};
use std::time::SystemTime;

use http::{Request, Response, response};
use relay_config::BaseUrl;
use relay_messages::{ApiError, Payload};
use tower::BoxError;

use crate::answer::{AnswerBody, BodyError, Outcome};
use crate::request::{Attempt, Endpoint};

/// One upstream with one credential.
///
/// The settings are shared by all of an upstream's credentials, so a value is cheap: there is one for each
/// (provider, key) pair that routing can choose.
pub trait Provider: Send + Sync + 'static {
    /// Builds the upstream request. Pure: no I/O, no clock, no randomness.
    ///
    /// # Errors
    /// [`PrepareError`] where the request cannot be put into this upstream's form.
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError>;

    /// Adds a credential that is valid at `now`; the only step that may wait (token refresh).
    ///
    /// # Errors
    /// [`AuthorizeError`] where there is none.
    fn authorize(
        &self,
        request: Request<Payload>,
        now: SystemTime,
    ) -> impl Future<Output = Result<Request<Payload>, AuthorizeError>> + Send;

    /// Where the upstream is, as far as that is known before the first request.
    fn base_url(&self) -> Option<&BaseUrl>;

    /// Says what an answer means for failover and health. `error` holds the body of an answer that is no success, or
    /// its first 64 KiB: some upstreams put the reason nowhere else.
    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome;

    /// Called when an answer has status 401 or 403: forgets the credential that was just refused. `error` is as for
    /// [`classify`](Self::classify). `true` asks for one more try with a new one; there is never a second.
    fn renew_credential(&self, _head: &response::Parts, _error: &[u8]) -> impl Future<Output = bool> + Send {
        ready(false)
    }

    /// Puts an error of this upstream's into the words of Anthropic's, so that the client's own recovery works. Asked about
    /// every error. `None` is the rule for what is in Anthropic's form already: it passes as it is; anything else is
    /// translated as far as it can be read.
    fn translate_error(
        &self,
        _attempt: &Attempt,
        _head: &response::Parts,
        _error: &[u8],
    ) -> Option<ApiError> {
        None
    }

    /// Puts a success into the form of the Messages API, frame by frame.
    ///
    /// # Errors
    /// [`AnswerBodyError`](crate::AnswerBodyError) where the answer had to be read for it, and broke off.
    fn convert(
        &self,
        _endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, BodyError>> + Send {
        ready(Ok(response))
    }
}

/// Why a request cannot be put into an upstream's form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Base URL, path and query make no valid URI.
    #[error("the upstream's URL cannot be built")]
    Url(#[source] http::Error),
}

/// Why no valid credential could be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The key holds characters that no header may carry.
    #[error("the configured key holds characters that an HTTP header cannot carry")]
    Malformed,
    /// A token could not be obtained, and cannot be as things are.
    #[error("a token could not be obtained")]
    Token(#[source] BoxError),
    /// A token could not be obtained now: who gives it cannot be reached, or is failing.
    #[error("a token could not be obtained for now")]
    Unavailable(#[source] BoxError),
    /// The request could not be signed.
    #[error("the request cannot be signed")]
    Sign(#[source] BoxError),
    /// The request carries no credential of its own to pass through.
    #[error("the client sent no credential that could be passed through")]
    NothingToPassThrough,
}
