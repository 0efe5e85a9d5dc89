//! What each kind of upstream has to say for itself.

use std::future::{Future, ready};
use std::time::SystemTime;

use http::{Request, Response};
use relay_config::BaseUrl;
use relay_messages::Payload;
use tower::BoxError;

use crate::answer::{AnswerBody, BodyError};
use crate::failure::{Judgement, UpstreamError};
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

    /// Judges a failed answer, which has been read once: its outcome, its words for the client, and whether a new
    /// credential may help. The default is Anthropic's own table of errors.
    ///
    /// A prompt that is too long, and an unknown path of a token count, are recognised for every kind after this.
    fn judge(&self, error: &UpstreamError, _attempt: &Attempt) -> Judgement {
        Judgement::by_anthropics_table(error)
    }

    /// Forgets the credential that the upstream has just refused. Called if
    /// [`Judgement::renew_credential`] is set after a status of 401 or 403. Returns `true` if one more attempt with a new
    /// credential may help; there is never a second one.
    fn renew_credential(&self) -> impl Future<Output = bool> + Send {
        ready(false)
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
