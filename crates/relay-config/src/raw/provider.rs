//! `providers[]` in the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::cloud::{AzureAuth, BedrockApi};
use crate::kinds::{KINDS, KindSpec};

/// One upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Provider {
    /// Unique; used in logs and on `/v1/providers`.
    #[schemars(length(min = 1), required)]
    pub(crate) name: Option<String>,
    /// The kind of upstream.
    #[schemars(required)]
    pub(crate) r#type: Option<ProviderType>,
    /// A disabled provider is listed but never asked.
    #[schemars(extend("default" = true))]
    pub(crate) enabled: Option<bool>,
    /// Where the upstream is, without the path that cc-relay adds (`/v1/messages`, or the cloud's own). Each type but
    /// `anthropic_compatible` has a default.
    #[schemars(length(min = 1))]
    pub(crate) base_url: Option<String>,
    /// May this `anthropic` provider receive a client's own credential? By default yes without `base_url`, else no.
    pub(crate) passthrough: Option<bool>,
    /// How an `anthropic_compatible` upstream takes its key.
    #[schemars(extend("default" = "x-api-key"))]
    pub(crate) auth: Option<Auth>,
    /// Credentials.
    #[serde(default)]
    pub(crate) keys: Vec<Key>,
    /// Higher is tried first. A provider with keys ranks by the highest priority among them.
    #[schemars(range(min = -2_147_483_648_i32, max = 2_147_483_647_i32), extend("default" = 1))]
    pub(crate) priority: Option<i32>,
    /// Share in weighted strategies of a provider that has no keys; one with keys has the sum of theirs.
    #[schemars(range(min = 1, max = 4_294_967_295_u32), extend("default" = 1))]
    pub(crate) weight: Option<NonZeroU32>,
    /// Choice among keys of equal priority.
    #[serde(default)]
    pub(crate) pooling: Pooling,
    /// Model names advertised on `/v1/models`. A provider whose list lacks the (mapped) model is tried last.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub(crate) models: Vec<String>,
    /// Client's model name to upstream's: exact names first, then patterns with `*`, longest first.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) model_mapping: BTreeMap<String, String>,
    /// PEM file with further trusted certificates.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) ca_file: Option<PathBuf>,
    /// Limit for establishing a connection, TLS included, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 5_000))]
    pub(crate) connect_timeout_ms: Option<u64>,
    /// Limit up to the response head, in milliseconds, for streamed requests while another provider could be asked.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 90_000))]
    pub(crate) first_byte_timeout_ms: Option<u64>,
    /// Longest silence within a streamed answer, in milliseconds.
    #[schemars(range(min = 1, max = 86_400_000), extend("default" = 300_000))]
    pub(crate) idle_timeout_ms: Option<u64>,
    /// Region of a `bedrock` provider. By default `AWS_REGION`, `AWS_DEFAULT_REGION`, or the one of the profile.
    #[schemars(length(min = 1))]
    pub(crate) aws_region: Option<String>,
    /// Access key of a `bedrock` provider. Without any credential here, `AWS_BEARER_TOKEN_BEDROCK` or the AWS default
    /// chain is used.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_access_key_id: Option<String>,
    /// Secret that belongs to `aws_access_key_id`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_secret_access_key: Option<String>,
    /// Session token that belongs to a temporary `aws_access_key_id`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_session_token: Option<String>,
    /// Profile of the shared AWS configuration files, in place of keys.
    #[schemars(length(min = 1))]
    pub(crate) aws_profile: Option<String>,
    /// Bedrock API key, in place of keys. By default `AWS_BEARER_TOKEN_BEDROCK`.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) aws_bearer_token: Option<String>,
    /// Which of Bedrock's endpoints is used.
    #[schemars(extend("default" = "invoke"))]
    pub(crate) bedrock_api: Option<BedrockApi>,
    /// Resource of an `azure` provider: the first part of `NAME.services.ai.azure.com`. Not needed with `base_url`.
    #[schemars(length(min = 1))]
    pub(crate) azure_resource_name: Option<String>,
    /// Sent as `api-version` by an `azure` provider. By default none is, as the endpoint takes none.
    #[schemars(length(min = 1))]
    pub(crate) azure_api_version: Option<String>,
    /// How an `azure` provider is authorized.
    #[schemars(extend("default" = "api_key"))]
    pub(crate) azure_auth: Option<AzureAuth>,
    /// Project id of a `vertex` provider. By default `GOOGLE_CLOUD_PROJECT`, then the credentials file's.
    #[schemars(length(min = 1))]
    pub(crate) gcp_project_id: Option<String>,
    /// Region of a `vertex` provider, or `global`, `us`, `eu`.
    #[schemars(length(min = 1), extend("default" = "us-east5"))]
    pub(crate) gcp_region: Option<String>,
    /// Google credentials file of a `vertex` provider. By default the application default credentials.
    #[schemars(with = "Option<String>", extend("minLength" = 1))]
    pub(crate) credentials_file: Option<PathBuf>,
    /// What the upstream takes, beyond what cc-relay knows of its type, by the upstream's names of models or patterns of
    /// them with `*`.
    #[serde(default)]
    pub(crate) capabilities: BTreeMap<String, Capabilities>,
    /// Fetch URL images for upstreams that take base64 only.
    #[schemars(extend("default" = false))]
    pub(crate) fetch_images: Option<bool>,
    /// Name on `/v1/models` what the upstream itself lists, for `anthropic` and `ollama`.
    #[schemars(extend("default" = false))]
    pub(crate) discover_models: Option<bool>,
}

/// The kind of upstream.
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

/// What an upstream takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Capabilities {
    /// Names of betas, or patterns of them with `*`: `pass`, `drop`, or the upstream's own name.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) betas: BTreeMap<String, String>,
    /// Places of fields: `pass`, `drop`, `refuse`, `fold`, `hoist`, or a new place.
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub(crate) fields: BTreeMap<String, String>,
}

/// How an `anthropic_compatible` upstream takes its key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// `x-api-key: KEY`.
    XApiKey,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// No credential.
    None,
}

/// One credential of a provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Key {
    /// The credential. Providers that send none (`ollama`, `bedrock`, `vertex`, `mock`) do without.
    #[schemars(length(min = 1), extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
    /// Higher is tried first. By default the provider's `priority`.
    #[schemars(range(min = -2_147_483_648_i32, max = 2_147_483_647_i32))]
    pub(crate) priority: Option<i32>,
    /// Share in weighted strategies.
    #[schemars(range(min = 1, max = 4_294_967_295_u32), extend("default" = 1))]
    pub(crate) weight: Option<NonZeroU32>,
    /// Requests per minute. 0 is to learn it from the upstream's answers.
    #[schemars(range(min = 0, max = 4_294_967_295_u32), extend("default" = 0))]
    pub(crate) rpm_limit: Option<u64>,
    /// Tokens per minute, prompts and answers together. 0 is to learn it from the upstream's answers.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) tpm_limit: Option<u64>,
    /// Tokens of prompts per minute, without what was read from a cache. 0 is to learn it from the upstream's answers.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) itpm_limit: Option<u64>,
    /// Tokens of answers per minute. 0 is to learn it from the upstream's answers.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("default" = 0))]
    pub(crate) otpm_limit: Option<u64>,
    /// The organisation that the key belongs to: keys of the provider with the same one share its limits.
    #[schemars(length(min = 1))]
    pub(crate) organization: Option<String>,
}

/// Choice among keys of equal priority.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Pooling {
    /// The rule.
    #[schemars(extend("default" = "least_loaded"))]
    pub(crate) strategy: Option<PoolingStrategy>,
    /// How long a request waits for a key that frees up before it goes on without, in milliseconds.
    #[schemars(range(min = 0, max = 86_400_000), extend("default" = 0))]
    pub(crate) max_wait_ms: Option<u64>,
}

/// The rule of the choice among keys.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PoolingStrategy {
    /// The one with the fewest requests under way, for its weight, and the most left of its limits.
    LeastLoaded,
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// In turn, as often as their weights say.
    Weighted,
}
