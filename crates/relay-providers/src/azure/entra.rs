//! Obtains tokens of Microsoft Entra ID.
//!
//! # Source
//! Microsoft identity platform, "OAuth 2.0 client credentials flow" and "Managed identities: how to use"; `azure_identity`
//! for the differences between the instance metadata service and App Service.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use relay_config::{BaseUrl, EntraConfig, Secret};
use relay_transport::{Minted, TokenClient, TokenSource, form, read_file};

use crate::credential_error::CredentialError;

/// The audience of tokens. The metadata service takes the resource, every other service the scope.
const SCOPE: &str = "https://ai.azure.com/.default";
const RESOURCE: &str = "https://ai.azure.com";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// API versions of the two services for managed identities.
const INSTANCE_METADATA: &str = "2018-02-01";
const APP_SERVICE: &str = "2019-08-01";

/// A source of the access tokens of one identity.
#[derive(Debug)]
pub(super) struct Entra {
    config: EntraConfig,
    client: TokenClient,
}

impl Entra {
    pub(super) fn new(config: EntraConfig, client: TokenClient) -> Self {
        Self { config, client }
    }

    async fn for_client(
        &self,
        authority: &BaseUrl,
        tenant_id: &str,
        client_id: &str,
        proof: &[(&str, &str)],
    ) -> Result<Minted<HeaderValue>, CredentialError> {
        let url = format!("{authority}/{tenant_id}/oauth2/v2.0/token");
        let mut fields =
            vec![("grant_type", "client_credentials"), ("client_id", client_id), ("scope", SCOPE)];
        fields.extend(proof);
        let answer = self.client.post_form(&url, &fields).await?;
        Ok(Minted::new(answer.bearer("access_token")?, answer.seconds("expires_in")?))
    }

    async fn for_machine(
        &self,
        endpoint: &BaseUrl,
        identity_header: Option<&Secret>,
        client_id: Option<&str>,
        now: SystemTime,
    ) -> Result<Minted<HeaderValue>, CredentialError> {
        let mut headers = HeaderMap::new();
        let version = match identity_header {
            None => {
                headers.insert(HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
                INSTANCE_METADATA
            }
            Some(secret) => {
                let value =
                    HeaderValue::from_str(secret.expose()).map_err(|_| CredentialError::IdentityHeader)?;
                headers.insert(HeaderName::from_static("x-identity-header"), value);
                APP_SERVICE
            }
        };
        let mut query = vec![("api-version", version), ("resource", RESOURCE)];
        query.extend(client_id.map(|id| ("client_id", id)));
        let answer = self.client.get(&format!("{endpoint}?{}", form(&query)), headers).await?;
        let lifetime = match identity_header {
            None => answer.seconds("expires_in")?,
            // App Service states the time of expiry, not the lifetime.
            Some(_) => {
                let passed = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                answer.seconds("expires_on")?.saturating_sub(passed)
            }
        };
        Ok(Minted::new(answer.bearer("access_token")?, lifetime))
    }
}

impl TokenSource for Entra {
    /// The value of `authorization`: `Bearer TOKEN`.
    type Token = HeaderValue;
    type Error = CredentialError;

    async fn mint(&self, now: SystemTime) -> Result<Minted<HeaderValue>, CredentialError> {
        match &self.config {
            EntraConfig::ClientSecret { authority, tenant_id, client_id, client_secret, .. } => {
                let proof = [("client_secret", client_secret.expose())];
                self.for_client(authority, tenant_id, client_id, &proof).await
            }
            EntraConfig::WorkloadIdentity { authority, tenant_id, client_id, token_file, .. } => {
                let file = read_file(token_file).await?;
                let origin = || token_file.display().to_string();
                let assertion = str::from_utf8(&file).unwrap_or_default().trim();
                if assertion.is_empty() {
                    return Err(CredentialError::Subject { origin: origin() });
                }
                let proof = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
                self.for_client(authority, tenant_id, client_id, &proof).await
            }
            EntraConfig::ManagedIdentity { endpoint, identity_header, client_id, .. } => {
                self.for_machine(endpoint, identity_header.as_ref(), client_id.as_deref(), now).await
            }
            _ => Err(CredentialError::Unknown),
        }
    }
}
