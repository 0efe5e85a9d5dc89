//! Calls upstreams of the Messages API that differ only in the header of their key: Anthropic with a configured key,
//! MiniMax, and others.

use std::time::SystemTime;

use http::Request;
use relay_config::{BaseUrl, Secret};
use relay_messages::{Payload, headers};

use crate::anthropic_format::{self, ApiKey};
use crate::failure::{Judgement, UpstreamError};
use crate::provider::{AuthorizeError, FreeRequest, PrepareError, Provider};
use crate::request::Attempt;
use crate::vendor_errors::VendorErrors;

/// An upstream with Anthropic's format.
#[derive(Debug, Clone)]
pub struct Compatible {
    base_url: BaseUrl,
    key: Option<ApiKey>,
    errors: VendorErrors,
    /// The path of a request without costs.
    free_path: &'static str,
}

/// The path of the list of models.
const MODELS: &str = "/v1/models";
/// The path of Anthropic's list of models, with as many as one page has.
const ALL_MODELS: &str = "/v1/models?limit=1000";
/// The path of OpenRouter's facts of a key. Its list of models needs no key.
///
/// # Source
/// openrouter.ai/docs, "Get current API key".
const OPENROUTER_KEY: &str = "/v1/key";

impl Compatible {
    /// Creates the provider at `base_url` with `key`, sent as `x-api-key`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn with_api_key(base_url: BaseUrl, key: &Secret) -> Result<Self, AuthorizeError> {
        Ok(Self::new(base_url, Some(ApiKey::plain(key)?)))
    }

    /// Creates the provider at `base_url` with `key`, sent as `authorization: Bearer`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn with_bearer(base_url: BaseUrl, key: &Secret) -> Result<Self, AuthorizeError> {
        Ok(Self::new(base_url, Some(ApiKey::bearer(key)?)))
    }

    /// Creates the provider at `base_url`, which gets no credential.
    #[must_use]
    pub fn without_key(base_url: BaseUrl) -> Self {
        Self::new(base_url, None)
    }

    /// Judges the upstream's errors by the table of the configured type `kind`. The default is the table of
    /// `anthropic_compatible`.
    #[must_use]
    pub fn with_errors_of(self, kind: &str) -> Self {
        let free_path = match kind {
            "anthropic" => ALL_MODELS,
            "openrouter" => OPENROUTER_KEY,
            _ => MODELS,
        };
        Self { errors: VendorErrors::of(kind), free_path, ..self }
    }

    fn new(base_url: BaseUrl, key: Option<ApiKey>) -> Self {
        Self { base_url, key, errors: VendorErrors::of("anthropic_compatible"), free_path: MODELS }
    }
}

impl Provider for Compatible {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        anthropic_format::prepare(&self.base_url, attempt)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        _: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        match &self.key {
            Some(key) => key.write_to(request.headers_mut()),
            None => headers::remove_oauth_beta(request.headers_mut()),
        }
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn free_request(&self) -> FreeRequest {
        FreeRequest::Get(self.free_path)
    }

    fn judge(&self, error: &UpstreamError, _: &Attempt) -> Judgement {
        self.errors.judge(error)
    }
}
