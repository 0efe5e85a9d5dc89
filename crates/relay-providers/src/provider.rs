//! What each kind of upstream has to say for itself.

use std::future::Future;
use std::time::SystemTime;

use http::{Request, response};

use crate::answer::Outcome;
use crate::body::Payload;
use crate::request::Attempt;

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

    /// Says what an answer means for failover and health. `error` holds the body of an answer that is no success, or
    /// its first 64 KiB: some upstreams put the reason nowhere else.
    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome;
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
    /// The request carries no credential of its own to pass through.
    #[error("the client sent no credential that could be passed through")]
    NothingToPassThrough,
}
