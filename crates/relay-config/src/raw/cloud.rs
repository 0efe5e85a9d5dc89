//! Choices among the settings of the three clouds.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which of Bedrock's endpoints is used.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BedrockApi {
    /// InvokeModel and InvokeModelWithResponseStream, which every model has.
    Invoke,
    /// The newer endpoint of Anthropic's format, which newer models have.
    Messages,
}

/// How an `azure` provider is authorized.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AzureAuth {
    /// By the keys of the provider.
    ApiKey,
    /// By Microsoft Entra ID: a client secret, a workload identity, or the machine's managed identity.
    EntraId,
}
