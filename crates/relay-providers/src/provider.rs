//! The trait of a kind of upstream.

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
/// There is one value for each (provider, key) pair that routing can choose. All values of a provider share its settings,
/// so a value is cheap.
pub trait Provider: Send + Sync + 'static {
    /// Builds the upstream request. Pure: no I/O, no clock, no randomness.
    ///
    /// # Errors
    /// [`PrepareError`] if the request cannot be put into the form of this upstream.
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError>;

    /// Adds a credential that is valid at `now`; the only step that may wait (token refresh).
    ///
    /// # Errors
    /// [`AuthorizeError`] if there is none.
    fn authorize(
        &self,
        request: Request<Payload>,
        now: SystemTime,
    ) -> impl Future<Output = Result<Request<Payload>, AuthorizeError>> + Send;

    /// The base URL of the upstream; `None` if it is unknown before the first request.
    fn base_url(&self) -> Option<&BaseUrl>;

    /// Judges a failed answer, which has been read once: its outcome, its words for the client, and whether a new
    /// credential may help. The default is Anthropic's table of errors.
    ///
    /// The caller recognises two failures of every kind by itself: a prompt that is too long, and a token count at an
    /// upstream that does not know the path.
    fn judge(&self, error: &UpstreamError, _attempt: &Attempt) -> Judgement {
        Judgement::by_anthropic_table(error)
    }

    /// Forgets the credential that the upstream has just refused with `refusal`. Returns `true` if a new one may be accepted; the request is
    /// then sent once more, never twice. Called after a status of 401 or 403 with a judgement that sets
    /// [`renew_credential`](Judgement::renew_credential).
    fn renew_credential(&self, _refusal: &UpstreamError) -> impl Future<Output = bool> + Send {
        ready(false)
    }

    /// Puts a success into the form of the Messages API, frame by frame.
    ///
    /// # Errors
    /// [`AnswerBodyError`](crate::AnswerBodyError) if the answer has to be read for it, and breaks off.
    fn convert(
        &self,
        _endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, BodyError>> + Send {
        ready(Ok(response))
    }
}

/// The reason for which a request cannot be put into the form of an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Base URL, path and query do not make a valid URI.
    #[error("the upstream's URL cannot be built")]
    Url(#[source] http::Error),
}

/// The reason for which no valid credential could be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The key holds characters that a header cannot carry.
    #[error("the configured key holds characters that an HTTP header cannot carry")]
    Malformed,
    /// A token could not be obtained, and a setting has to change before one can be.
    #[error("a token could not be obtained")]
    Token(#[source] BoxError),
    /// A token could not be obtained at the moment: the token endpoint is unreachable or failing.
    #[error("a token could not be obtained for now")]
    Unavailable(#[source] BoxError),
    /// The request could not be signed.
    #[error("the request cannot be signed")]
    Sign(#[source] BoxError),
    /// The client sent no credential that could be passed through.
    #[error("the client sent no credential that could be passed through")]
    NothingToPassThrough,
}
