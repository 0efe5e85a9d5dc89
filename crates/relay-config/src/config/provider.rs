//! `providers[]`: what every upstream has, and the kinds.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use super::{AzureAuth, AzureConfig, BedrockConfig, VertexConfig};
use crate::capabilities::Capabilities;
use crate::kinds::{self, CompatibleAuth, Implementation, KeyNeed, KindSpec};
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

/// The kind of a provider, with the settings that only this kind has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Anthropic's API, or an endpoint that stands for it.
    Anthropic {
        /// The URL in front of `/v1/messages`. Default `https://api.anthropic.com`.
        base_url: BaseUrl,
        /// If `true`, a client's own credential may be sent there. Default: `true` with the default URL.
        passthrough: bool,
    },
    /// Z.AI (GLM).
    Zai {
        /// The URL in front of `/v1/messages`. Default `https://api.z.ai/api/anthropic`.
        base_url: BaseUrl,
    },
    /// Ollama 0.14 or later.
    Ollama {
        /// The URL in front of `/v1/messages`. Default `http://localhost:11434`.
        base_url: BaseUrl,
    },
    /// An endpoint that speaks the Messages API, such as `minimax` or `anthropic_compatible`.
    Compatible {
        /// The entry of [`KINDS`](crate::KINDS).
        spec: &'static KindSpec,
        /// The URL in front of `/v1/messages`.
        base_url: BaseUrl,
        /// The header that carries the key.
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
    /// Returns `spec` with its default settings, or `None` if the kind has settings without a default.
    #[must_use]
    pub fn with_defaults(spec: &'static KindSpec) -> Option<Self> {
        let base_url = || spec.default_base_url();
        Some(match spec.implementation {
            Implementation::Anthropic => Self::Anthropic { base_url: base_url()?, passthrough: true },
            Implementation::Zai => Self::Zai { base_url: base_url()? },
            Implementation::Ollama => Self::Ollama { base_url: base_url()? },
            Implementation::Compatible(auth) => Self::Compatible { spec, base_url: base_url()?, auth },
            Implementation::Mock => Self::Mock,
            Implementation::Bedrock | Implementation::Azure | Implementation::Vertex => return None,
        })
    }

    /// Returns the facts that are fixed for the kind.
    #[must_use]
    pub fn spec(&self) -> &'static KindSpec {
        match self {
            Self::Anthropic { .. } => &kinds::ANTHROPIC,
            Self::Zai { .. } => &kinds::ZAI,
            Self::Ollama { .. } => &kinds::OLLAMA,
            Self::Compatible { spec, .. } => spec,
            Self::Bedrock(_) => &kinds::BEDROCK,
            Self::Azure(_) => &kinds::AZURE,
            Self::Vertex(_) => &kinds::VERTEX,
            Self::Mock => &kinds::MOCK,
        }
    }

    /// Returns the base URL; `None` for the built-in upstream, and if the region decides.
    #[must_use]
    pub fn base_url(&self) -> Option<&BaseUrl> {
        match self {
            Self::Anthropic { base_url, .. }
            | Self::Zai { base_url }
            | Self::Ollama { base_url }
            | Self::Compatible { base_url, .. } => Some(base_url),
            Self::Azure(azure) => Some(&azure.base_url),
            Self::Bedrock(bedrock) => bedrock.base_url.as_ref(),
            Self::Vertex(vertex) => vertex.base_url.as_ref(),
            Self::Mock => None,
        }
    }

    /// Returns the use that the provider has for keys: the kind's, unless one of its settings changes it.
    #[must_use]
    pub fn key_need(&self) -> KeyNeed {
        match self {
            Self::Anthropic { passthrough: true, .. } => KeyNeed::Optional,
            Self::Azure(AzureConfig { auth: AzureAuth::EntraId(_), .. }) => KeyNeed::NeverSent,
            Self::Compatible { auth: CompatibleAuth::None, .. } => KeyNeed::Refused,
            kind => kind.spec().keys,
        }
    }

    /// Returns the `type` in the configuration file.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.spec().name
    }
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
