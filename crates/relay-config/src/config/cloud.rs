//! What the upstreams of the three clouds need.

use std::path::PathBuf;

use crate::names::BaseUrl;
use crate::secret::Secret;

/// What an AWS Bedrock upstream needs.
#[derive(Debug, Clone)]
pub struct BedrockConfig {
    /// Overrides the endpoint of the region: what stands in front of `/model`, or of `/v1/messages` with the
    /// [`Messages`](BedrockApi::Messages) API.
    pub base_url: Option<BaseUrl>,
    /// From the file, `AWS_REGION` or `AWS_DEFAULT_REGION`. `None` leaves it to the profile, or to nobody where
    /// `base_url` is set and the credential is a bearer token.
    pub region: Option<String>,
    /// How requests are signed.
    pub credentials: AwsCredentials,
    /// Which of Bedrock's operations are called.
    pub api: BedrockApi,
}

/// How requests to Bedrock are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwsCredentials {
    /// Keys of the configuration.
    Keys {
        /// `aws_access_key_id`.
        access_key_id: Secret,
        /// `aws_secret_access_key`.
        secret_access_key: Secret,
        /// `aws_session_token`, with temporary keys.
        session_token: Option<Secret>,
    },
    /// A Bedrock API key, sent as a bearer token: `aws_bearer_token`, or `AWS_BEARER_TOKEN_BEDROCK`.
    BearerToken(Secret),
    /// A profile of the shared configuration files.
    Profile(String),
    /// The AWS default chain: environment, files, SSO, web identity, container, instance metadata.
    DefaultChain,
}

/// Which of Bedrock's operations are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BedrockApi {
    /// `InvokeModel` and `InvokeModelWithResponseStream`.
    #[default]
    Invoke,
    /// The newer endpoint of Anthropic's format.
    Messages,
}

/// What an Azure AI Foundry upstream needs.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// What stands in front of `/v1/messages`: `https://{azure_resource_name}.services.ai.azure.com/anthropic`, or
    /// the file's `base_url` as it is.
    pub base_url: BaseUrl,
    /// Sent as `api-version` only if it is set: the endpoint takes none.
    pub api_version: Option<String>,
    /// How requests are authorized.
    pub auth: AzureAuth,
}

/// How requests to Azure AI Foundry are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureAuth {
    /// The keys of the provider.
    ApiKey,
    /// Microsoft Entra ID.
    EntraId(EntraConfig),
}

/// Where tokens of Microsoft Entra ID come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntraConfig {
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.
    ClientSecret {
        /// `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// `AZURE_FEDERATED_TOKEN_FILE` with `AZURE_TENANT_ID` and `AZURE_CLIENT_ID`, as Kubernetes provides them.
    WorkloadIdentity {
        /// `AZURE_AUTHORITY_HOST`, default `https://login.microsoftonline.com`.
        authority: BaseUrl,
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// The file with the assertion, read anew for each token.
        token_file: PathBuf,
    },
    /// The identity of the machine: `IDENTITY_ENDPOINT` with `IDENTITY_HEADER` (App Service, Container Apps), else the
    /// instance metadata service.
    ManagedIdentity {
        /// Where tokens are asked for; default `http://169.254.169.254/metadata/identity/oauth2/token`.
        endpoint: BaseUrl,
        /// `IDENTITY_HEADER`, which App Service wants back.
        identity_header: Option<Secret>,
        /// `AZURE_CLIENT_ID`, to choose among several identities.
        client_id: Option<String>,
    },
}

/// What a Google Vertex AI upstream needs.
#[derive(Debug, Clone)]
pub struct VertexConfig {
    /// Overrides the host of the region; without `/v1`.
    pub base_url: Option<BaseUrl>,
    /// From the file or `GOOGLE_CLOUD_PROJECT`; `None` leaves it to the credentials file.
    pub project: Option<String>,
    /// A region, or `global`, `us`, `eu`. Default `us-east5`.
    pub region: String,
    /// Where tokens come from.
    pub credentials: GoogleCredentials,
}

/// Where Google's access tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoogleCredentials {
    /// A credentials file of any type: `credentials_file`, `GOOGLE_APPLICATION_CREDENTIALS`, or what gcloud has left.
    File(PathBuf),
    /// The metadata server of the machine.
    MetadataServer {
        /// `GCE_METADATA_HOST`, default `metadata.google.internal`: a host, with or without a port.
        host: String,
    },
}
