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

    /// Returns the request that shows without costs if the upstream accepts the credential. The default is none.
    fn free_request(&self) -> FreeRequest {
        FreeRequest::None
    }

    /// Describes the credential that [`authorize`](Self::authorize) adds, and loads it if it is not loaded. The default is a
    /// credential without known facts.
    ///
    /// # Errors
    /// [`AuthorizeError`] if there is no valid credential.
    fn credential(
        &self,
        _now: SystemTime,
    ) -> impl Future<Output = Result<CredentialFacts, AuthorizeError>> + Send {
        ready(Ok(CredentialFacts::default()))
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

    fn free_request(&self) -> FreeRequest {
        P::free_request(self)
    }

    fn credential(
        &self,
        now: SystemTime,
    ) -> impl Future<Output = Result<CredentialFacts, AuthorizeError>> + Send {
        P::credential(self, now)
    }

    fn convert(
        &self,
        endpoint: Endpoint,
        response: Response<AnswerBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, AnswerBodyError>> + Send {
        P::convert(self, endpoint, response)
    }
}

/// A request that costs nothing, and shows if the upstream accepts the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreeRequest {
    /// The upstream has none.
    None,
    /// A `GET` of this path after the base URL, such as `/v1/models`, with a query if it has one. If the answer is a list of models,
    /// it is read.
    Get(&'static str),
    /// A count of the tokens of a short prompt for a model.
    CountTokens,
}

/// The facts of a credential. They contain nothing of its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialFacts {
    /// The source of the credential, such as `the AWS profile work`. `None` if it is the configuration.
    pub source: Option<String>,
    /// The end of the credential, after which its source has to issue another one. `None` if it has no known end.
    pub ends_at: Option<SystemTime>,
}

impl CredentialFacts {
    /// Creates the facts of a credential from `source`. It has no end.
    #[must_use]
    pub fn of(source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ends_at: None }
    }

    /// Sets the end of the credential.
    #[must_use]
    pub fn with_ends_at(mut self, ends_at: Option<SystemTime>) -> Self {
        self.ends_at = ends_at;
        self
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
