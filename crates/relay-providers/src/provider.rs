//! The trait of a kind of upstream.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::SystemTime;

use http::{Request, Response};
use relay_config::BaseUrl;
use relay_messages::Payload;
use tower::BoxError;

use crate::answer::{AnswerBody, AnswerBodyError};
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
    /// [`AuthorizeError`] if there is no valid credential.
    fn authorize(
        &self,
        request: Request<Payload>,
        now: SystemTime,
    ) -> impl Future<Output = Result<Request<Payload>, AuthorizeError>> + Send;

    /// The base URL of the upstream; `None` if it is unknown before the first request.
    fn base_url(&self) -> Option<&BaseUrl>;

    /// Judges a failed answer, which has been read once: its outcome, the error for the client, and the use of a new
    /// credential. The default is Anthropic's table of errors.
    ///
    /// The caller itself recognises two failures at every kind: a prompt that is too long, and a token count at an
    /// upstream that has none.
    fn judge(&self, error: &UpstreamError, _attempt: &Attempt) -> Judgement {
        Judgement::by_anthropic_table(error)
    }

    /// Forgets the credential that the upstream has refused with `refusal`. Returns `true` if a new one may be
    /// accepted. The request is then sent once more, and never a third time. Called after a status of 401 or 403 with a
    /// judgement that sets [`renew_credential`](Judgement::renew_credential).
    fn renew_credential(&self, _refusal: &UpstreamError) -> impl Future<Output = bool> + Send {
        ready(false)
    }

    /// Converts a success into the form of the Messages API, frame by frame. The default returns it unchanged.
    ///
    /// # Errors
    /// [`AnswerBodyError`](crate::AnswerBodyError) if the answer has to be read for the conversion, and breaks off.
    fn convert(
        &self,
        _endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, AnswerBodyError>> + Send {
        ready(Ok(response))
    }
}

impl<P: Provider> Provider for Arc<P> {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        P::prepare(self, attempt)
    }

    fn authorize(
        &self,
        request: Request<Payload>,
        now: SystemTime,
    ) -> impl Future<Output = Result<Request<Payload>, AuthorizeError>> + Send {
        P::authorize(self, request, now)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        P::base_url(self)
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        P::judge(self, error, attempt)
    }

    fn renew_credential(&self, refusal: &UpstreamError) -> impl Future<Output = bool> + Send {
        P::renew_credential(self, refusal)
    }

    fn convert(
        &self,
        endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, AnswerBodyError>> + Send {
        P::convert(self, endpoint, response)
    }
}

/// The reason that a request cannot be put into the form of an upstream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Base URL, path and query are not a valid URI together.
    #[error("the upstream's URL cannot be built")]
    Url(#[source] http::Error),
}

/// The reason that no valid credential could be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The key holds characters that a header cannot carry.
    #[error("the configured key holds characters that an HTTP header cannot carry")]
    Malformed,
    /// No token can be obtained until an operator changes a setting.
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
