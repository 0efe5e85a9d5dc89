//! The settings of an Azure AI Foundry upstream.

use std::path::PathBuf;

use crate::names::BaseUrl;
use crate::secret::Secret;

/// The settings of an Azure AI Foundry upstream.
///
/// ```
/// use relay_config::{AzureAuth, AzureConfig, BaseUrl, KeyConfig, ProviderConfig, ProviderKind, Secret};
///
/// let url = BaseUrl::parse("https://my-resource.services.ai.azure.com/anthropic")?;
/// let kind = ProviderKind::Azure(AzureConfig::new(url, AzureAuth::ApiKey));
/// let provider = ProviderConfig::new("foundry", kind).with_key(KeyConfig::new(Secret::new("key")));
/// assert_eq!(provider.kind.as_str(), "azure");
/// # Ok::<(), relay_config::BaseUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AzureConfig {
    /// The URL in front of `/v1/messages`: `https://{azure_resource_name}.services.ai.azure.com/anthropic`, or the
    /// `base_url` of the file.
    pub base_url: BaseUrl,
    /// The query parameter `api-version`. `None`, the default: it is not sent, since the endpoint needs none.
    pub api_version: Option<String>,
    /// The credential of requests.
    pub auth: AzureAuth,
}

impl AzureConfig {
    /// Creates the settings for the URL in front of `/v1/messages` and the credential.
    #[must_use]
    pub fn new(base_url: BaseUrl, auth: AzureAuth) -> Self {
        Self { base_url, api_version: None, auth }
    }

    /// Sets the query parameter `api-version`. Default: it is not sent.
    #[must_use]
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }
}

/// The credential of requests to Azure AI Foundry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureAuth {
    /// The keys of the provider, as `x-api-key`.
    ApiKey,
    /// A token of Microsoft Entra ID.
    EntraId(EntraConfig),
}

/// The source of tokens of Microsoft Entra ID.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntraConfig {
    /// A client secret: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    ClientSecret {
        /// The token endpoint's host: `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory, `AZURE_TENANT_ID`.
        tenant_id: String,
        /// The application, `AZURE_CLIENT_ID`.
        client_id: String,
        /// The secret of the application, `AZURE_CLIENT_SECRET`.
        client_secret: Secret,
    },
    /// A workload identity: `AZURE_FEDERATED_TOKEN_FILE` with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`, as
    /// Kubernetes sets them.
    WorkloadIdentity {
        /// The token endpoint's host: `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory, `AZURE_TENANT_ID`.
        tenant_id: String,
        /// The application, `AZURE_CLIENT_ID`.
        client_id: String,
        /// The file with the assertion, which is read again for each token.
        token_file: PathBuf,
    },
    /// The managed identity of the machine: `IDENTITY_ENDPOINT` with `IDENTITY_HEADER` (App Service, Container
    /// Apps), otherwise the instance metadata service.
    ManagedIdentity {
        /// The URL that tokens are requested from. Default `http://169.254.169.254/metadata/identity/oauth2/token`.
        endpoint: BaseUrl,
        /// The value of `IDENTITY_HEADER`, which App Service requires in each token request.
        identity_header: Option<Secret>,
        /// The value of `AZURE_CLIENT_ID`, which selects one of several identities.
        client_id: Option<String>,
    },
}
