//! The settings of an Azure AI Foundry upstream.

use std::path::PathBuf;

use http::uri::Scheme;

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
///
/// ```
/// use relay_config::{BaseUrl, EntraConfig, Secret};
///
/// # fn main() -> Result<(), relay_config::BaseUrlError> {
/// let government = BaseUrl::parse("https://login.microsoftonline.us")?;
/// let entra = EntraConfig::client_secret("tenant", "application", Secret::new("secret"))
///     .with_authority(government.clone());
/// assert!(matches!(entra, EntraConfig::ClientSecret { authority, .. } if authority == government));
///
/// let entra = EntraConfig::managed_identity().with_identity("application");
/// assert!(matches!(entra, EntraConfig::ManagedIdentity { client_id: Some(id), .. } if id == "application"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntraConfig {
    /// A client secret: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    #[non_exhaustive]
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
    #[non_exhaustive]
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
    #[non_exhaustive]
    ManagedIdentity {
        /// The URL that tokens are requested from. Default `http://169.254.169.254/metadata/identity/oauth2/token`.
        endpoint: BaseUrl,
        /// The value of `IDENTITY_HEADER`, which App Service requires in each token request.
        identity_header: Option<Secret>,
        /// The value of `AZURE_CLIENT_ID`, which selects one of several identities.
        client_id: Option<String>,
    },
}

impl EntraConfig {
    /// Creates a client secret of the application `client_id` in the directory `tenant_id`, for the public cloud.
    #[must_use]
    pub fn client_secret(
        tenant_id: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Secret,
    ) -> Self {
        let (tenant_id, client_id) = (tenant_id.into(), client_id.into());
        Self::ClientSecret { authority: Self::public_authority(), tenant_id, client_id, client_secret }
    }

    /// Creates a workload identity of the application `client_id` in the directory `tenant_id`, for the public cloud.
    /// `token_file` has the assertion.
    #[must_use]
    pub fn workload_identity(
        tenant_id: impl Into<String>,
        client_id: impl Into<String>,
        token_file: impl Into<PathBuf>,
    ) -> Self {
        let (tenant_id, client_id, token_file) = (tenant_id.into(), client_id.into(), token_file.into());
        Self::WorkloadIdentity { authority: Self::public_authority(), tenant_id, client_id, token_file }
    }

    /// Creates the identity that the instance metadata service assigns to the machine.
    #[must_use]
    pub fn managed_identity() -> Self {
        let endpoint = Self::metadata_service();
        Self::ManagedIdentity { endpoint, identity_header: None, client_id: None }
    }

    /// Sets the token endpoint's host of a client secret or a workload identity, as a national cloud requires. A managed
    /// identity stays as it is.
    #[must_use]
    pub fn with_authority(mut self, url: BaseUrl) -> Self {
        if let Self::ClientSecret { authority, .. } | Self::WorkloadIdentity { authority, .. } = &mut self {
            *authority = url;
        }
        self
    }

    /// Sets the URL that tokens of a managed identity are requested from, and the value of `IDENTITY_HEADER` that App
    /// Service requires. The other credentials stay as they are.
    #[must_use]
    pub fn with_endpoint(mut self, url: BaseUrl, header: impl Into<Option<Secret>>) -> Self {
        if let Self::ManagedIdentity { endpoint, identity_header, .. } = &mut self {
            (*endpoint, *identity_header) = (url, header.into());
        }
        self
    }

    /// Selects one of several identities of the machine. The other credentials stay as they are.
    #[must_use]
    pub fn with_identity(mut self, id: impl Into<String>) -> Self {
        if let Self::ManagedIdentity { client_id, .. } = &mut self {
            *client_id = Some(id.into());
        }
        self
    }

    pub(crate) fn public_authority() -> BaseUrl {
        BaseUrl::constant(Scheme::HTTPS, "login.microsoftonline.com", "")
    }

    pub(crate) fn metadata_service() -> BaseUrl {
        BaseUrl::constant(Scheme::HTTP, "169.254.169.254", "/metadata/identity/oauth2/token")
    }
}
