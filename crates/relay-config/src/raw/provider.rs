//! The entries of `providers` in the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::cloud::{AzureAuth, BedrockApi, BedrockGuardrail};
use crate::kinds::{KINDS, KindSpec};

/// An upstream, with the credentials and the settings that it is called with.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Provider {
    /// The name in logs, headers, metrics and on `/v1/providers`. Unique; up to 64 visible ASCII characters.
    #[schemars(length(min = 1), required)]
    pub(crate) name: Option<String>,
    /// The kind of upstream. It decides the address, the credential and the format of requests.
    #[schemars(required)]
    pub(crate) r#type: Option<ProviderType>,
    /// Use the provider. Default true. A disabled provider is listed, but receives no request.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// The URL of the upstream, without the path that cc-relay appends (`/v1/messages`, or the path of the cloud).
    /// Required for `anthropic_compatible`; every other type has a default.
    #[schemars(length(min = 1))]
    pub(crate) base_url: Option<String>,
    /// Send a client's own credential to this `anthropic` provider. Default: true if the URL is
    /// `https://api.anthropic.com`, written out or not, otherwise false.
    pub(crate) passthrough: Option<bool>,
    /// The header in which an `anthropic_compatible` upstream expects its key. Default `x-api-key`.
    #[schemars(extend("default" = "x-api-key"))]
    pub(crate) auth: Option<Auth>,
    /// The credentials of the provider, each with its own limits. Requests are distributed over them by `pooling`.
    #[serde(default)]
    pub(crate) keys: Vec<Key>,
    /// Headers that every request to the upstream carries, by name, such as those that a gateway requires. The values
    /// are secrets. They replace a header of the same name. Up to 32.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1, "writeOnly": true, "format": "header" }))]
    pub(crate) headers: BTreeMap<String, String>,
    /// The names of client headers that are passed on to the upstream, in addition to those that always are. Up to 32.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub(crate) forward_headers: Vec<String>,
    /// The rank of the provider: higher is tried first. Default 1. A provider with keys ranks by the highest
    /// priority among them.
    #[schemars(range(min = -2_147_483_648_i32, max = 2_147_483_647_i32), extend("default" = 1))]
    pub(crate) priority: Option<i32>,
    /// The share of requests in weighted strategies, for a provider without keys. Default 1. A provider with keys
    /// has the sum of their weights.
    #[schemars(range(min = 1, max = 4_294_967_295_u32), extend("default" = 1))]
    pub(crate) weight: Option<NonZeroU32>,
    /// The choice among keys of equal priority.
    #[serde(default)]
    pub(crate) pooling: Pooling,
    /// The model names that `/v1/models` lists. A provider whose list lacks the requested model, and its mapped
    /// name, is tried last. An empty list, the default, accepts every model.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub(crate) models: Vec<String>,
    /// Model names of clients and the names that the upstream uses for them. Exact names are looked up first, then
    /// patterns with `*`, the longest first.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) model_mapping: BTreeMap<String, String>,
    /// The path of a PEM file with additional trusted certificates, for an upstream with a private certificate
    /// authority.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) ca_file: Option<PathBuf>,
    /// Timeout for connecting to the upstream, including the TLS handshake, in milliseconds. Default 5000.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 5_000))]
    pub(crate) connect_timeout_ms: Option<u64>,
    /// Timeout for the response headers of a streamed request, in milliseconds. Default 90000; 600000 for `ollama`,
    /// which loads the model first. It applies only while another provider remains to be tried.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(crate) first_byte_timeout_ms: Option<u64>,
    /// The longest pause within a streamed response, in milliseconds. Default 300000. After it the stream counts as
    /// broken off.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 300_000))]
    pub(crate) idle_timeout_ms: Option<u64>,
    /// The AWS region of a `bedrock` provider. Default: `AWS_REGION`, then `AWS_DEFAULT_REGION`, then the region of
    /// the profile.
    #[schemars(length(min = 1))]
    pub(crate) aws_region: Option<String>,
    /// The access key id of a `bedrock` provider. Default: `AWS_BEARER_TOKEN_BEDROCK`, then the AWS default
    /// credential chain.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_access_key_id: Option<String>,
    /// The secret access key that belongs to `aws_access_key_id`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_secret_access_key: Option<String>,
    /// The session token that belongs to a temporary `aws_access_key_id`, which starts with ASIA.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_session_token: Option<String>,
    /// The profile of the shared AWS configuration files whose credentials are used instead of keys.
    #[schemars(length(min = 1))]
    pub(crate) aws_profile: Option<String>,
    /// A Bedrock API key, which is used instead of access keys. Default: `AWS_BEARER_TOKEN_BEDROCK`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_bearer_token: Option<String>,
    /// The Bedrock operation that serves requests. Default `invoke`.
    #[schemars(extend("default" = "invoke"))]
    pub(crate) bedrock_api: Option<BedrockApi>,
    /// The guardrail that is applied to every message of a `bedrock` provider. Default: none. A request for another guardrail
    /// is refused.
    pub(crate) bedrock_guardrail: Option<BedrockGuardrail>,
    /// The resource of an `azure` provider: NAME in `NAME.services.ai.azure.com`. Required unless `base_url` is
    /// set.
    #[schemars(length(min = 1))]
    pub(crate) azure_resource_name: Option<String>,
    /// The `api-version` query parameter of an `azure` provider. Default: none, since the endpoint needs none.
    #[schemars(length(min = 1))]
    pub(crate) azure_api_version: Option<String>,
    /// The credential that an `azure` provider sends. Default `api_key`.
    #[schemars(extend("default" = "api_key"))]
    pub(crate) azure_auth: Option<AzureAuth>,
    /// The project id of a `vertex` provider. Default: `GOOGLE_CLOUD_PROJECT`, then the project of the credentials
    /// file.
    #[schemars(length(min = 1))]
    pub(crate) gcp_project_id: Option<String>,
    /// The region of a `vertex` provider, or `global`, `us`, `eu`. Default `us-east5`.
    #[schemars(length(min = 1), extend("default" = "us-east5"))]
    pub(crate) gcp_region: Option<String>,
    /// The path of the Google credentials file of a `vertex` provider. Default: the application default
    /// credentials.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Rules for the betas and fields that the upstream accepts, by its own model names or patterns of them with
    /// `*`. They take precedence over the built-in rules of the type.
    #[serde(default)]
    pub(crate) capabilities: BTreeMap<String, Capabilities>,
    /// Fetch the images that a request names by URL, for an upstream that accepts base64 only. Default false.
    #[schemars(extend("default" = false))]
    pub(crate) fetch_images: Option<bool>,
    /// Add the upstream's own list of models to `/v1/models`, for `anthropic` and `ollama`. Default false.
    #[schemars(extend("default" = false))]
    pub(crate) discover_models: Option<bool>,
}

/// The kind of upstream. It decides the address, the credential and the format of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProviderType(pub(crate) &'static KindSpec);

impl<'de> Deserialize<'de> for ProviderType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = KindSpec::named(&name);
        kind.map(Self).ok_or_else(|| D::Error::custom(format!("unknown type {name:?}")))
    }
}

impl JsonSchema for ProviderType {
    fn schema_name() -> Cow<'static, str> {
        "ProviderType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choice = |kind: &KindSpec| json!({ "description": kind.description, "type": "string", "const": kind.name });
        let choices: Vec<_> = KINDS.iter().map(choice).collect();
        json_schema!({ "description": "The kind of upstream.", "oneOf": choices })
    }
}

/// Rules for the betas and fields that an upstream accepts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Capabilities {
    /// Betas by name, or by pattern with `*`. The value is `pass`, `drop`, or the upstream's own name of the beta.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) betas: BTreeMap<String, String>,
    /// Fields by path, such as `tools[].strict`. The value is `pass`, `drop`, `refuse`, `fold`, `hoist`, or a new
    /// path.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) fields: BTreeMap<String, String>,
}

/// The header in which an `anthropic_compatible` upstream expects its key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// The header `x-api-key: KEY`.
    XApiKey,
    /// The header `Authorization: Bearer KEY`.
    Bearer,
    /// No credential: `keys` must be empty.
    None,
}

/// A credential of a provider, with its priority, weight and limits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Key {
    /// The credential itself, best written as `${NAME}`. Omit it for the types that send none: `ollama`, `bedrock`,
    /// `vertex`, `mock`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
    /// The name of the key in logs and in `status`: up to 64 visible ASCII characters. Default: eight hexadecimal digits that
    /// are made from the key.
    #[schemars(length(min = 1))]
    pub(crate) name: Option<String>,
    /// The rank of the key: higher is tried first. Default: the `priority` of the provider.
    #[schemars(range(min = -2_147_483_648_i32, max = 2_147_483_647_i32))]
    pub(crate) priority: Option<i32>,
    /// The share of requests in weighted strategies, relative to other keys. Default 1.
    #[schemars(range(min = 1, max = 4_294_967_295_u32), extend("default" = 1))]
    pub(crate) weight: Option<NonZeroU32>,
    /// Requests per minute that the key may use. 0, the default, learns the limit from the upstream's responses.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) rpm_limit: Option<u64>,
    /// Input and output tokens per minute together. 0, the default, learns the limit from the upstream's responses.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) tpm_limit: Option<u64>,
    /// Input tokens per minute, without tokens read from a prompt cache. 0, the default, learns the limit from the
    /// upstream's responses.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) itpm_limit: Option<u64>,
    /// Output tokens per minute. 0, the default, learns the limit from the upstream's responses.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) otpm_limit: Option<u64>,
    /// The organization that the key belongs to. Keys of the provider with the same organization share one set of
    /// limits.
    #[schemars(length(min = 1))]
    pub(crate) organization: Option<String>,
}

/// The choice among keys of equal priority.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Pooling {
    /// The rule that chooses among the keys. Default `least_loaded`.
    #[schemars(extend("default" = "least_loaded"))]
    pub(crate) strategy: Option<PoolingStrategy>,
    /// Time that a request waits for a key of this provider to become available before the next provider is tried,
    /// in milliseconds. Default 0.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 0))]
    pub(crate) max_wait_ms: Option<u64>,
}

/// The rule that chooses among the keys of equal priority.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PoolingStrategy {
    /// The key with the fewest requests in flight relative to its weight, then the one with the most left of its
    /// limits.
    LeastLoaded,
    /// Each key in turn.
    RoundRobin,
    /// A random key.
    Random,
    /// Each key in turn, in proportion to its weight.
    Weighted,
}
