//! `providers[]`: what every upstream has, and the kinds.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use super::{AzureConfig, BedrockConfig, VertexConfig};
use crate::capabilities::Capabilities;
use crate::names::{BaseUrl, ModelMapping, ProviderName};
use crate::secret::Secret;

/// One upstream.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Unique; used in logs, metrics and routing.
    pub name: ProviderName,
    /// A disabled provider is listed but never asked.
    pub enabled: bool,
    /// The protocol, with what only this kind needs.
    pub kind: ProviderKind,
    /// Credentials, in file order. May be empty for kinds that need none.
    pub keys: Vec<KeyConfig>,
    /// Rank without keys, and default of theirs: higher is tried first. Default 1.
    pub priority: i32,
    /// Share in weighted strategies without keys. Default 1.
    pub weight: NonZeroU32,
    /// Choice among keys of equal priority. Default: the one with the least load.
    pub pooling: Pooling,
    /// How long a request waits for a key that frees up, before it goes on without. Default 0.
    pub max_wait: Duration,
    /// Model names advertised on `/v1/models`; empty means any model may be asked for.
    pub models: Vec<String>,
    /// Whether `/v1/models` also names what the upstream itself lists. `anthropic` and `ollama` alone. Default no.
    pub discover_models: bool,
    /// Client's model name to upstream's.
    pub model_mapping: ModelMapping,
    /// What is known of its models beyond what cc-relay knows of its kind. Default: nothing.
    pub capabilities: Capabilities,
    /// Whether images that a request names by URL are fetched for it. Default no.
    pub fetch_images: bool,
    /// PEM file with further trusted certificates.
    pub ca_file: Option<PathBuf>,
    /// Limit for establishing a connection, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Limit up to the response head, for streamed requests while another candidate remains. Default 90 s.
    pub first_byte_timeout: Duration,
    /// Longest silence within a streamed answer. Default 300 s.
    pub idle_timeout: Duration,
}

impl ProviderConfig {
    /// An enabled provider with every setting at its default: no keys, priority 1, any model.
    pub fn new(name: ProviderName, kind: ProviderKind) -> Self {
        Self {
            name,
            enabled: true,
            kind,
            keys: Vec::new(),
            priority: 1,
            weight: NonZeroU32::MIN,
            pooling: Pooling::default(),
            max_wait: Duration::ZERO,
            models: Vec::new(),
            discover_models: false,
            model_mapping: ModelMapping::default(),
            capabilities: Capabilities::default(),
            fetch_images: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(90),
            idle_timeout: Duration::from_secs(300),
        }
    }

    /// The provider's share in weighted strategies: the sum of its keys' weights, or its own without keys.
    #[must_use]
    pub fn share(&self) -> NonZeroU32 {
        let weights = self.keys.iter().map(|key| key.weight);
        weights.reduce(|sum, weight| sum.saturating_add(weight.get())).unwrap_or(self.weight)
    }
}

/// Which of a provider's keys of equal priority is used first; the others follow when it fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The one with the fewest requests under way, for its weight; then the one with the most left of its limits, then the
    /// one that has been idle for longest.
    #[default]
    LeastLoaded,
    /// Each in turn.
    RoundRobin,
    /// Any, by chance.
    Random,
    /// Each in turn, as often as its weight says.
    Weighted,
}

/// The kind of an upstream: how it is addressed and how it authenticates.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Anthropic's API, or an endpoint that stands for it.
    Anthropic {
        /// Default `https://api.anthropic.com`.
        base_url: BaseUrl,
        /// Whether a client's own credential may be sent there.
        passthrough: bool,
    },
    /// Z.AI (GLM).
    Zai {
        /// Default `https://api.z.ai/api/anthropic`.
        base_url: BaseUrl,
    },
    /// Ollama 0.14 or later.
    Ollama {
        /// Default `http://localhost:11434`.
        base_url: BaseUrl,
    },
    /// MiniMax.
    Minimax {
        /// Default `https://api.minimax.io/anthropic`.
        base_url: BaseUrl,
    },
    /// Any other endpoint that speaks the Messages API.
    AnthropicCompatible {
        /// Required.
        base_url: BaseUrl,
        /// Where the key goes. Default `x-api-key`.
        auth: CompatibleAuth,
    },
    /// AWS Bedrock.
    Bedrock(BedrockConfig),
    /// Azure AI Foundry.
    Azure(AzureConfig),
    /// Google Vertex AI.
    Vertex(VertexConfig),
    /// The built-in upstream for offline use.
    Mock,
}

impl ProviderKind {
    /// Where the upstream is; `None` for the built-in one, and where the region decides.
    #[must_use]
    pub fn base_url(&self) -> Option<&BaseUrl> {
        match self {
            Self::Anthropic { base_url, .. }
            | Self::Zai { base_url }
            | Self::Ollama { base_url }
            | Self::Minimax { base_url }
            | Self::AnthropicCompatible { base_url, .. } => Some(base_url),
            Self::Azure(azure) => Some(&azure.base_url),
            Self::Bedrock(bedrock) => bedrock.base_url.as_ref(),
            Self::Vertex(vertex) => vertex.base_url.as_ref(),
            Self::Mock => None,
        }
    }

    /// The `type` in the configuration file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Anthropic { .. } => "anthropic",
            Self::Zai { .. } => "zai",
            Self::Ollama { .. } => "ollama",
            Self::Minimax { .. } => "minimax",
            Self::AnthropicCompatible { .. } => "anthropic_compatible",
            Self::Bedrock(_) => "bedrock",
            Self::Azure(_) => "azure",
            Self::Vertex(_) => "vertex",
            Self::Mock => "mock",
        }
    }
}

/// How an `anthropic_compatible` upstream takes its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompatibleAuth {
    /// `x-api-key: KEY`.
    #[default]
    ApiKey,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// No credential; keys are not allowed.
    None,
}

/// One credential of a provider.
#[derive(Debug, Clone)]
pub struct KeyConfig {
    /// The credential itself. `None` for kinds that send none: such a key carries rank and limits alone.
    pub key: Option<Secret>,
    /// Higher is tried first. Default: the provider's.
    pub priority: i32,
    /// Share in weighted strategies. Default 1.
    pub weight: NonZeroU32,
    /// What it may use up. Default: nothing stated.
    pub limits: KeyLimits,
    /// Whose limits these are: keys of a provider with the same one share them, and state the same. Default: the key's
    /// alone.
    pub organization: Option<String>,
}

impl KeyConfig {
    /// A key with every setting at its default: priority and weight 1, no limits, no organisation.
    #[must_use]
    pub fn new(key: Option<Secret>) -> Self {
        let (limits, organization) = (KeyLimits::default(), None);
        Self { key, priority: 1, weight: NonZeroU32::MIN, limits, organization }
    }
}

/// What may be used up in a minute. A limit that is not stated is learned from the upstream's answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests.
    pub requests: Option<NonZeroU64>,
    /// Tokens of both directions together.
    pub tokens: Option<NonZeroU64>,
    /// Tokens of prompts.
    pub input_tokens: Option<NonZeroU64>,
    /// Tokens of answers.
    pub output_tokens: Option<NonZeroU64>,
}
