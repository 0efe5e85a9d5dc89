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

/// The guardrail that is applied to every message of a `bedrock` provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct BedrockGuardrail {
    /// The id of the guardrail, or its ARN.
    #[schemars(length(min = 1, max = 2048), required)]
    pub(crate) id: Option<String>,
    /// The version of the guardrail: a number, or DRAFT.
    #[schemars(length(min = 1), required, extend("type" = ["string", "integer"]))]
    pub(crate) version: Option<String>,
    /// The extent of the trace that the guardrail adds to answers. Default: the request of the client decides.
    pub(crate) trace: Option<GuardrailTrace>,
}

/// The extent of the trace that a guardrail adds to an answer.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum GuardrailTrace {
    /// The detections.
    Enabled,
    /// No trace.
    Disabled,
    /// The detections, and also everything that was examined without a detection.
    EnabledFull,
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
