//! The settings of an AWS Bedrock upstream.

use crate::names::BaseUrl;
use crate::secret::Secret;

/// The settings of an AWS Bedrock upstream.
///
/// ```
/// use relay_config::{AwsCredentials, BedrockConfig, BedrockGuardrail, ProviderConfig, ProviderKind};
///
/// let bedrock = BedrockConfig::new(AwsCredentials::DefaultChain)
///     .with_region("eu-central-1")
///     .with_guardrail(BedrockGuardrail::new("gr1abcdefghi", "DRAFT"));
/// let provider = ProviderConfig::new("bedrock", ProviderKind::Bedrock(bedrock));
/// assert_eq!(provider.kind.as_str(), "bedrock");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// Creates the settings for the credential: the endpoint of the region, the default region, `InvokeModel`, no guardrail.
    #[must_use]
    pub fn new(credentials: AwsCredentials) -> Self {
        Self { base_url: None, region: None, credentials, api: BedrockApi::default(), guardrail: None }
    }

    /// Sets the URL in front of `/model`, or of `/v1/messages` with the [`Messages`](BedrockApi::Messages) API.
    #[must_use]
    pub fn with_base_url(mut self, url: BaseUrl) -> Self {
        self.base_url = Some(url);
        self
    }

    /// Sets the region. Default: that of the profile.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the operation that serves requests.
    #[must_use]
    pub fn with_api(mut self, api: BedrockApi) -> Self {
        self.api = api;
        self
    }

    /// Sets the guardrail that is applied to every message.
    #[must_use]
    pub fn with_guardrail(mut self, guardrail: BedrockGuardrail) -> Self {
        self.guardrail = Some(guardrail);
        self
    }

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
#[non_exhaustive]
pub struct BedrockGuardrail {
    /// The id or the ARN of the guardrail.
    pub id: String,
    /// The number of the version, or `DRAFT`.
    pub version: String,
    /// The trace of the guardrail in answers. `None`: the request of the client decides.
    pub trace: Option<GuardrailTrace>,
}

impl BedrockGuardrail {
    /// Creates a guardrail with its id or ARN, and the number of its version or `DRAFT`.
    pub fn new(id: impl Into<String>, version: impl Into<String>) -> Self {
        Self { id: id.into(), version: version.into(), trace: None }
    }

    /// Sets the trace in answers. Default: the request of the client decides.
    #[must_use]
    pub fn with_trace(mut self, trace: GuardrailTrace) -> Self {
        self.trace = Some(trace);
        self
    }
}

/// The extent of the trace that a guardrail adds to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Access keys of the configuration: [`AwsCredentials::keys`].
    #[non_exhaustive]
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

impl AwsCredentials {
    /// Creates access keys. `session_token` belongs to temporary keys.
    #[must_use]
    pub fn keys(
        access_key_id: Secret,
        secret_access_key: Secret,
        session_token: impl Into<Option<Secret>>,
    ) -> Self {
        Self::Keys { access_key_id, secret_access_key, session_token: session_token.into() }
    }
}

/// The operation of Bedrock that serves requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BedrockApi {
    /// `InvokeModel` and `InvokeModelWithResponseStream`, which every model supports.
    #[default]
    Invoke,
    /// The endpoint in Anthropic's own format, `/anthropic/v1/messages`, which only newer models support.
    Messages,
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
