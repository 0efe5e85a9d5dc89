//! What only Anthropic's own API has: the client's own credential, and operations beside messages. With a configured key
//! it is asked as any [`Compatible`](crate::Compatible) upstream is.

mod forward;

use std::time::SystemTime;

use http::{Request, response};
use relay_config::BaseUrl;
use relay_messages::Payload;

pub use forward::{ApiRequest, Forward};

use crate::answer::Outcome;
use crate::messages;
use crate::provider::{AuthorizeError, PrepareError, Provider};
use crate::request::Attempt;

/// Anthropic with whatever credential the client sent, unchanged.
///
/// The configuration makes one only for an `anthropic` provider with `passthrough`; nothing else in this program can
/// write a [`ClientCredential`](crate::ClientCredential) into a request.
#[derive(Debug, Clone)]
pub struct PassThrough {
    base_url: BaseUrl,
}

impl PassThrough {
    /// The upstream at `base_url`, which may be shown clients' credentials.
    #[must_use]
    pub fn new(base_url: BaseUrl) -> Self {
        Self { base_url }
    }
}

impl Provider for PassThrough {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let mut request = messages::prepare(&self.base_url, attempt)?;
        if let Some(credential) = attempt.request().client_credential() {
            credential.write_to(request.headers_mut());
        }
        Ok(request)
    }

    async fn authorize(
        &self,
        request: Request<Payload>,
        _: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    /// A credential that is refused is the client's own: only the client can renew it.
    fn classify(&self, head: &response::Parts, error: &[u8]) -> Outcome {
        match messages::classify(head, error) {
            Outcome::CredentialRejected => Outcome::Refused,
            outcome => outcome,
        }
    }
}
