//! Azure AI Foundry: Anthropic's format, with errors of Azure's gateway, and Microsoft's credentials.

mod deployments;
mod entra;
mod errors;

use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relay_config::{AzureConfig, BaseUrl, EntraConfig, Secret};
use relay_messages::{Payload, headers};
use relay_transport::{CredentialCache, TokenClient, Transport};

use crate::anthropic_format;
use crate::failure::{Judgement, UpstreamError};
use crate::provider::{AuthorizeError, CredentialFacts, FreeRequest, PrepareError, Provider};
use crate::request::Attempt;
pub use deployments::azure_deployments;
use entra::Entra;

/// The headers for a key. Anthropic's SDK sends it in both: "the endpoint authenticates with x-api-key; api-key is also sent
/// for backwards compatibility".
const KEY_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

/// Azure AI Foundry with one credential.
#[derive(Debug, Clone)]
pub struct Azure {
    base_url: BaseUrl,
    api_version: Option<String>,
    credential: Credential,
}

#[derive(Debug, Clone)]
enum Credential {
    Key(HeaderValue),
    Entra(CredentialCache<Entra>),
}

impl Azure {
    /// Creates the provider with `key`.
    ///
    /// # Errors
    /// [`AuthorizeError::Malformed`] if a header cannot carry the key.
    pub fn with_api_key(config: &AzureConfig, key: &Secret) -> Result<Self, AuthorizeError> {
        let mut key = HeaderValue::from_str(key.expose()).map_err(|_| AuthorizeError::Malformed)?;
        key.set_sensitive(true);
        Ok(Self::new(config, Credential::Key(key)))
    }

    /// Creates the provider with tokens of Microsoft Entra ID. The first one is requested over `transport` when the first
    /// request needs it.
    #[must_use]
    pub fn with_entra_id(config: &AzureConfig, entra: &EntraConfig, transport: Transport) -> Self {
        let source = Entra::new(entra.clone(), TokenClient::new(transport));
        Self::new(config, Credential::Entra(CredentialCache::new(source)))
    }

    fn new(config: &AzureConfig, credential: Credential) -> Self {
        Self { base_url: config.base_url.clone(), api_version: config.api_version.clone(), credential }
    }
}

impl Provider for Azure {
    fn prepare(&self, attempt: &Attempt) -> Result<Request<Payload>, PrepareError> {
        let mut request = anthropic_format::prepare(&self.base_url, attempt)?;
        if let Some(version) = &self.api_version {
            let version = format!("api-version={}", utf8_percent_encode(version, VERSION));
            let query = match attempt.request().query() {
                Some(query) => format!("{query}&{version}"),
                None => version,
            };
            *request.uri_mut() =
                anthropic_format::uri(&self.base_url, attempt.request().endpoint().path(), Some(&query))?;
        }
        Ok(request)
    }

    async fn authorize(
        &self,
        mut request: Request<Payload>,
        now: SystemTime,
    ) -> Result<Request<Payload>, AuthorizeError> {
        headers::remove_oauth_beta(request.headers_mut());
        match &self.credential {
            Credential::Key(key) => {
                for name in KEY_HEADERS {
                    request.headers_mut().insert(name, key.clone());
                }
            }
            Credential::Entra(tokens) => {
                let token = tokens.get(now).await?;
                request.headers_mut().insert(AUTHORIZATION, token);
            }
        }
        Ok(request)
    }

    fn base_url(&self) -> Option<&BaseUrl> {
        Some(&self.base_url)
    }

    fn free_request(&self) -> FreeRequest {
        FreeRequest::CountTokens
    }

    async fn credential(&self, now: SystemTime) -> Result<CredentialFacts, AuthorizeError> {
        let Credential::Entra(tokens) = &self.credential else { return Ok(CredentialFacts::default()) };
        tokens.get(now).await?;
        Ok(CredentialFacts::of("a token of Microsoft Entra ID").with_ends_at(tokens.ends_at()))
    }

    fn judge(&self, error: &UpstreamError, attempt: &Attempt) -> Judgement {
        let renew_credential = error.answered() == StatusCode::UNAUTHORIZED;
        Judgement { renew_credential, ..errors::judge(error, attempt.model()) }
    }

    async fn renew_credential(&self, _: &UpstreamError) -> bool {
        match &self.credential {
            Credential::Entra(tokens) => {
                tokens.forget();
                true
            }
            Credential::Key(_) => false,
        }
    }
}

/// The characters that stay in a version, which is a date with a word after it.
const VERSION: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use relay_config::AzureAuth;
    use relay_messages::{Adapter, MessagesBody};

    use super::*;
    use crate::adapt::adapt;
    use crate::request::{Endpoint, RelayRequest};

    fn azure(api_version: Option<&str>) -> Azure {
        let base_url = BaseUrl::parse("https://r.services.ai.azure.com/anthropic").unwrap();
        let mut config = AzureConfig::new(base_url, AzureAuth::ApiKey);
        config.api_version = api_version.map(str::to_owned);
        Azure::with_api_key(&config, &Secret::new("the-key")).unwrap()
    }

    fn attempt(endpoint: Endpoint, query: Option<&str>) -> Attempt {
        let body = MessagesBody::parse(Bytes::from_static(br#"{"model":"m","x":1.50}"#)).unwrap();
        let betas = "claude-code-20250219,oauth-2025-04-20,output-128k-2025-02-19,fast-mode-2026-02-01";
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("anthropic-beta"),
            HeaderValue::from_static(betas),
        )]);
        Attempt::new(RelayRequest::new(endpoint, query, headers, body))
    }

    #[test]
    fn an_api_version_is_sent_only_if_it_is_configured() {
        #[track_caller]
        fn check(version: Option<&str>, endpoint: Endpoint, query: Option<&str>, expected: &str) {
            let request = azure(version).prepare(&attempt(endpoint, query)).unwrap();
            let base = "https://r.services.ai.azure.com/anthropic/v1/messages";
            assert_eq!(request.uri().to_string(), format!("{base}{expected}"));
        }
        check(None, Endpoint::Messages, Some("beta=true"), "?beta=true");
        check(None, Endpoint::CountTokens, None, "/count_tokens");
        let version = Some("2024-06-01-preview&");
        check(version, Endpoint::Messages, Some("beta=true"), "?beta=true&api-version=2024-06-01-preview%26");
        check(version, Endpoint::Messages, None, "?api-version=2024-06-01-preview%26");
    }

    #[tokio::test]
    async fn a_key_goes_into_both_headers_and_betas_are_filtered() {
        let azure = azure(None);
        let mut attempt = attempt(Endpoint::Messages, None);
        adapt(&Adapter::of("azure"), &mut attempt);
        let request = azure.prepare(&attempt).unwrap();
        let request = azure.authorize(request, SystemTime::UNIX_EPOCH).await.unwrap();
        for name in KEY_HEADERS {
            assert_eq!(request.headers()[&name], "the-key");
        }
        assert!(!request.headers().contains_key(AUTHORIZATION));
        assert_eq!(request.headers()["anthropic-beta"], "claude-code-20250219,fast-mode-2026-02-01");
        assert!(!format!("{azure:?} {request:?}").contains("the-key"));
    }
}
