//! The settings of upstreams at the three clouds.

use std::path::PathBuf;

use crate::names::BaseUrl;
use crate::secret::Secret;

/// The settings of an AWS Bedrock upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct BedrockConfig {
    /// The URL in front of `/model`, or of `/v1/messages` with the [`Messages`](BedrockApi::Messages) API. `None`:
    /// the endpoint of the region.
    pub base_url: Option<BaseUrl>,
    /// The region of the file, `AWS_REGION` or `AWS_DEFAULT_REGION`. `None`: the region of the profile, or no
    /// region if `base_url` is set and the credential is a bearer token.
    pub region: Option<String>,
    /// The credential that signs requests.
    pub credentials: AwsCredentials,
    /// The operation that serves requests.
    pub api: BedrockApi,
    /// The guardrail that is applied to every message of this provider. Default: none.
    pub guardrail: Option<BedrockGuardrail>,
}

impl BedrockConfig {
    /// Returns `true` if the endpoint applies the guardrail of a request. Mantle, which only a `base_url` selects, does not.
    #[must_use]
    pub fn applies_guardrails(&self) -> bool {
        self.base_url.as_ref().is_none_or(|url| aws_service(url) == "bedrock")
    }
}

/// Returns the service that signatures for `base_url` name: that of the host if it is one of AWS's, otherwise `bedrock`.
///
/// # Source
/// AWS's page about the Messages API signs `bedrock-runtime` as `bedrock` and `bedrock-mantle` by its own name. The SDKs of
/// Anthropic do the same, and sign the Claude Platform on AWS as `aws-external-anthropic`.
#[must_use]
pub fn aws_service(base_url: &BaseUrl) -> &'static str {
    let host = base_url.authority().host().to_ascii_lowercase();
    let labels = || host.split('.').map(|label| label.trim_end_matches("-fips"));
    let services = ["bedrock-mantle", "aws-external-anthropic"];
    services.into_iter().find(|service| labels().any(|label| label == *service)).unwrap_or("bedrock")
}

/// A guardrail of Amazon Bedrock, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BedrockGuardrail {
    /// The id or the ARN of the guardrail.
    pub id: String,
    /// The number of the version, or `DRAFT`.
    pub version: String,
    /// The trace of the guardrail in answers. `None`: the request of the client decides.
    pub trace: Option<GuardrailTrace>,
}

/// The extent of the trace that a guardrail adds to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardrailTrace {
    /// The detections.
    Enabled,
    /// No trace.
    Disabled,
    /// The detections, and also everything that was examined without a detection.
    EnabledFull,
}

impl GuardrailTrace {
    /// Returns the value of the header and of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::EnabledFull => "ENABLED_FULL",
        }
    }
}

/// The credential of requests to Bedrock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwsCredentials {
    /// Access keys of the configuration.
    Keys {
        /// The setting `aws_access_key_id`.
        access_key_id: Secret,
        /// The setting `aws_secret_access_key`.
        secret_access_key: Secret,
        /// The setting `aws_session_token`, with temporary keys.
        session_token: Option<Secret>,
    },
    /// A Bedrock API key, sent as a bearer token: `aws_bearer_token`, or `AWS_BEARER_TOKEN_BEDROCK`.
    BearerToken(Secret),
    /// A profile of the shared configuration files.
    Profile(String),
    /// The AWS default credential chain: environment, files, SSO, web identity, container, instance metadata.
    DefaultChain,
}

/// The operation of Bedrock that serves requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BedrockApi {
    /// `InvokeModel` and `InvokeModelWithResponseStream`, which every model supports.
    #[default]
    Invoke,
    /// The endpoint in Anthropic's own format, `/anthropic/v1/messages`, which only newer models support.
    Messages,
}

/// The settings of an Azure AI Foundry upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct AzureConfig {
    /// The URL in front of `/v1/messages`: `https://{azure_resource_name}.services.ai.azure.com/anthropic`, or the
    /// `base_url` of the file.
    pub base_url: BaseUrl,
    /// The query parameter `api-version`. `None`, the default: it is not sent, since the endpoint needs none.
    pub api_version: Option<String>,
    /// The credential of requests.
    pub auth: AzureAuth,
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

/// The settings of a Google Vertex AI upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct VertexConfig {
    /// The URL in front of `/v1/projects`. `None`: the endpoint of the region.
    pub base_url: Option<BaseUrl>,
    /// The project of the file or of `GOOGLE_CLOUD_PROJECT`. `None`: the project of the credentials file.
    pub project: Option<String>,
    /// A region, or `global`, `us`, `eu`. Default `us-east5`.
    pub region: String,
    /// The source of access tokens.
    pub credentials: GoogleCredentials,
    /// The project whose quota requests count against: `GOOGLE_CLOUD_QUOTA_PROJECT`. `None`: the `quota_project_id` of the
    /// credentials file, if it has one.
    pub quota_project: Option<String>,
    /// The domain of Google's endpoints: `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, otherwise `universe_domain` of the credentials
    /// file, otherwise `googleapis.com`. `None`: the metadata server reports it.
    pub universe_domain: Option<String>,
}

/// The source of Google's access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoogleCredentials {
    /// A credentials file of any type: `credentials_file`, `GOOGLE_APPLICATION_CREDENTIALS`, or the application
    /// default credentials that gcloud has written.
    File(PathBuf),
    /// The metadata server of the machine.
    MetadataServer {
        /// The host, with or without a port: `GCE_METADATA_HOST`, default `metadata.google.internal`.
        host: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_name_the_service_of_the_host() {
        for (url, expected) in [
            ("https://bedrock-runtime.us-east-1.amazonaws.com/anthropic", "bedrock"),
            ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock"),
            ("https://bedrock-mantle.us-east-1.api.aws/anthropic", "bedrock-mantle"),
            ("https://Bedrock-Mantle-FIPS.us-east-1.api.aws", "bedrock-mantle"),
            ("https://vpce-1.bedrock-mantle.us-east-1.vpce.amazonaws.com", "bedrock-mantle"),
            ("https://aws-external-anthropic.us-east-1.api.aws", "aws-external-anthropic"),
            ("https://my-bedrock-mantle.example.com", "bedrock"),
            ("http://127.0.0.1:8080", "bedrock"),
        ] {
            assert_eq!(aws_service(&BaseUrl::parse(url).unwrap()), expected, "{url}");
        }
    }
}
