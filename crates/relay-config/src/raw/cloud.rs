//! The enumerations among the settings of the three clouds.

use schemars::JsonSchema;
use serde::Deserialize;

/// The Bedrock operation that serves requests.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BedrockApi {
    /// InvokeModel and InvokeModelWithResponseStream, which every model supports.
    Invoke,
    /// The endpoint in Anthropic's own format, `/v1/messages`, which only newer models support.
    Messages,
}

/// The credential that an `azure` provider sends.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AzureAuth {
    /// A key of `keys[]`, as `x-api-key`.
    ApiKey,
    /// A Microsoft Entra ID token, requested with a client secret, a workload identity or the machine's managed
    /// identity.
    EntraId,
}
