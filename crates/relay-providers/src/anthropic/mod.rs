//! The parts of Anthropic's own API that no other upstream has: the client's own credential, and operations beside
//! messages. With a configured key, Anthropic is a [`Compatible`](crate::Compatible) upstream.

mod forward;

use std::time::SystemTime;

use http::Request;
use relay_config::BaseUrl;
use relay_messages::Payload;

pub use forward::{ApiRequest, Forward};

use crate::anthropic_format;
use crate::failure::{self, Judgement, Meaning, Rule, Subject, UpstreamError, When};
use crate::provider::{AuthorizeError, PrepareError, Provider};
use crate::request::Attempt;

/// The credential that is refused is the client's own: only the client can renew it.
const RULES: &[Rule] = &[Rule::when(&[When::Status(401, 403)]).means(Meaning::Refused)];

/// Anthropic with the credential that the client sent, unchanged.
///
/// The configuration creates one only for an `anthropic` provider with `passthrough`; nothing else in this program can
/// write a [`ClientCredential`](crate::ClientCredential) into a request.
#[derive(Debug, Clone)]
pub struct PassThrough {
    base_url: BaseUrl,
}

impl PassThrough {
    /// Creates the provider at `base_url`, which may receive the credentials of clients.
    #[must_use]
    pub fn new(base_url: BaseUrl) -> Self {
        Self { base_url }
    }
}

impl Provider for PassThrough {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let mut request = anthropic_format::prepare(&self.base_url, attempt)?;
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

    fn judge(&self, error: &UpstreamError, _: &Attempt) -> Judgement {
        failure::judge(RULES, &Subject::new(error))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use relay_messages::MessagesBody;

    use super::*;
    use crate::failure::testing;
    use crate::outcome::Outcome;
    use crate::request::{Endpoint, RelayRequest};

    #[test]
    fn a_refused_credential_of_a_client_does_not_count_against_the_relay() {
        let body = MessagesBody::parse(Bytes::from_static(br#"{"model":"m"}"#)).unwrap();
        let attempt = Attempt::new(RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body));
        let upstream = PassThrough::new(BaseUrl::parse("https://api.anthropic.com").unwrap());
        for (status, expected) in [
            (401, Outcome::Refused),
            (402, Outcome::Refused),
            (403, Outcome::Refused),
            (404, Outcome::ModelUnavailable),
            (500, Outcome::Failed),
        ] {
            let judgement = upstream.judge(&testing::error(status, ""), &attempt);
            assert_eq!((judgement.outcome, judgement.api_error), (expected, None), "{status}");
        }
    }
}
